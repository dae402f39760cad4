#pragma once
// JSON from outside, read within bounds. Include <nlohmann/json.hpp> only in .cc files: it is slow to compile.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ingot {

// Parses `text` whole. Refused, with `what` (a file name, say) in front of the message and line and column where they
// are known: anything that is not JSON, depth over 64, a key that occurs twice in one object, invalid UTF-8.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text, absl::string_view what);

// The same keeping the order of keys, for files where it means something.
absl::StatusOr<nlohmann::ordered_json> ParseOrderedJson(absl::string_view text, absl::string_view what);

}  // namespace ingot
