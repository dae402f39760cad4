#pragma once
// The part of `ingot bench loader` that begins with text.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ingot {

struct RawBench {
  std::vector<std::string> inputs;
  std::string tokenizer;
  std::string directory;  // for what is made
  int64_t B = 0, T = 0;
  int64_t shuffle_tokens = 0;
  int rounds = 0;
  int threads = 1;
};

// One epoch of the inputs, as a dataset that is built before and as raw documents, by turns; the medians are printed or,
// if `json` is not null, put into it.
absl::Status BenchRawDocuments(const RawBench& bench, nlohmann::ordered_json* json);

}  // namespace ingot
