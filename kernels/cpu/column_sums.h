#pragma once
#include "core/base/tensor.h"

namespace ingot {

// out[o] += sum_r dy[r,o], in an order that follows from the shape alone. To be called outside of parallel regions.
void AddColumnSums(const Tensor& dy, const Tensor& out);

}  // namespace ingot
