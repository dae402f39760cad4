#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/model/dims.h"
#include "core/model/model.h"

namespace ingot {

// What keeps products of 8-bit operands from a model's sizes, a line each in the names of the configuration. `tokens`: of a
// micro-batch. Sizes that are too large to be multiplied are left to the checks of their ranges.
std::vector<std::string> Fp8Problems(const ModelDims& dims, int64_t tokens, const Fp8Use& use);

}  // namespace ingot
