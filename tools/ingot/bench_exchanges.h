#pragma once
// What the exchanges of a step cost, on the CPU beside Gloo's own all-reduce, measured in turns in one run.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/backend.h"
#include "distributed/ranks.h"

namespace ingot {

// The middle one of an odd number of values, the upper of the two middle ones else; 0 of none.
double Median(std::vector<double> values);

// Collective: our reduce-scatter and all-gather over buffers of `mebibytes` on the device of `backend`, and on the CPU
// Gloo's ring all-reduce; medians of `repeat` times. Bytes a second count what a rank sends: (W - 1) / W of the buffer.
absl::StatusOr<nlohmann::ordered_json> BenchExchange(Ranks& ranks, const Backend& backend, int64_t mebibytes,
                                                     int64_t repeat);

}  // namespace ingot
