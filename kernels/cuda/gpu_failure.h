#pragma once
// How the host code of the GPU build tells what went wrong in a call that returns nothing.
#include "absl/status/status.h"

namespace ingot::cuda {

// Keeps the first failure until the next Synchronize() returns it.
void KeepFailure(const absl::Status& status);

}  // namespace ingot::cuda
