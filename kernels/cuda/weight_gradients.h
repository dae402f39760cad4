#pragma once
// The part of a linear layer's backward that does not need the gradient of its input.
#include <cstdint>

#include "kernels/context.h"

namespace ingot {

// dw[o,i] += sum_r dy[r,o] * x[r,i], dbias[o] += sum_r dy[r,o], the latter if given. Takes WeightGradientScratchBytes() from the
// context; `workspace`: that of products.
void AddWeightGradients(Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& dw, const Tensor& dbias,
                        char* workspace);
int64_t WeightGradientScratchBytes(const Tensor& dy, const Tensor& dbias);

// out[o] += sum_r dy[r,o]. `partials`: ColumnSumPartials(dy) floats.
void AddColumnSums(Context& ctx, const Tensor& dy, float* partials, float* out);
int64_t ColumnSumPartials(const Tensor& dy);

}  // namespace ingot
