#pragma once
// Appending to logs of a run on a disk that may be full.
#include <cstdio>
#include <string>

#include "absl/status/status.h"

namespace ingot {

// Appends all of `bytes` to an unbuffered file, or nothing: what was written of them is taken back, so that a log never
// holds half a record in its middle. `path` is for the error.
absl::Status AppendWhole(std::FILE* file, const std::string& bytes, const std::string& path);

}  // namespace ingot
