#pragma once
#include <cstdint>

#include "core/base/tensor.h"

namespace ingot::cuda {

// *count += how many elements of t (f32 or bf16) are not `value`, NaN included. Device memory, in the stream's order.
void CountUnequal(const Tensor& t, float value, uint32_t* count, void* stream);

}  // namespace ingot::cuda
