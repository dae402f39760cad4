#pragma once
// Every op on the CUDA device beside the CPU's, on the same inputs.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/dtype.h"

namespace ingot {

// Runs each op whose "model op" contains `filter` on both devices and compares all tensors it works on by
// |cuda - cpu| / |cpu| (Euclidean norms): at most 1e-2 in bf16, where operands and results are rounded to 8 bits, 1e-4 in
// f32. A row for each op; `good`: whether all are within. Errors: no device, no memory.
absl::StatusOr<nlohmann::ordered_json> CheckKernels(DType scalar, const std::string& filter, bool& good);

}  // namespace ingot
