#pragma once
// What the exchanges of a step cost beside Gloo's own all-reduce, measured in turns in one run.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "absl/status/statusor.h"
#include "distributed/ranks.h"

namespace ingot {

// The middle one of an odd number of values, the upper of the two middle ones else; 0 of none.
double Median(std::vector<double> values);

// Collective: our reduce-scatter and all-gather, and Gloo's ring all-reduce, over buffers of `mebibytes`; medians of
// `repeat` times. Bytes a second count what a rank sends: (W - 1) / W of the buffer.
absl::StatusOr<nlohmann::ordered_json> BenchExchange(Ranks& ranks, int64_t mebibytes, int64_t repeat);

}  // namespace ingot
