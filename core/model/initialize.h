#pragma once
// The first values of parameters. Internal to core/model.
#include <cstdint>

#include "core/base/tensor.h"
#include "core/model/parameter_table.h"

namespace ingot {

// Element n of parameter i is drawn from Philox(seed) at (stream i, index n), so the values depend on nothing else.
// `parameters` is the part of the flat buffer from element `begin` on.
void InitializeParameters(const ParameterTable& table, uint64_t seed, const Tensor& parameters, int64_t begin);

}  // namespace ingot
