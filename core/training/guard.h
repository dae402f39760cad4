#pragma once
// Guard: how a run ends that the spike policy stops, before the optimizer touches anything.
#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace ingot {

// The error (exit code 79) for step `step`. `where` narrows it down ("micro-batch 2 of 4") and may be empty; `reason`
// is SpikeVerdict::reason.
absl::Status StoppedBySpike(int64_t step, const std::string& where, const std::string& reason);

}  // namespace ingot
