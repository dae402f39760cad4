#pragma once
// The texts of an evaluation file, whatever its columns are called.
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace ingot {

// .txt: the whole file. .jsonl: every string that is a value, at any depth, in the order of the file. Each plain, .gz or
// .zst. .parquet: every string of every column, in lists and structs too. A line that is not JSON is an error that
// names it.
absl::Status ForEachEvaluationText(const std::string& path, const std::function<void(absl::string_view text)>& visit);

}  // namespace ingot
