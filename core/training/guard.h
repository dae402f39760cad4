#pragma once
// Guard: stops a run at the first NaN or infinity, before the optimizer touches anything.
#include <cstdint>

#include "absl/status/status.h"

namespace ingot {

// `loss` (nats a token) of micro-batch `micro` (from 1 of `micros`) in step `step`. The error names all of them.
absl::Status CheckLoss(int64_t step, int64_t micro, int64_t micros, double loss);

// The global gradient norm of a step.
absl::Status CheckGradientNorm(int64_t step, double norm);

}  // namespace ingot
