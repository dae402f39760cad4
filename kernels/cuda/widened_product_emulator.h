#pragma once
// What the products of the emulated device are made of: operands widened to f32, and the CPU's BLAS in fixed panels.
#include <cstdint>
#include <vector>

#include "core/base/tensor.h"

namespace ingot::cuda {

// The elements of a tensor of any type of operands; none of an absent one.
std::vector<float> Widened(const Tensor& t);
// Element i becomes `value`, rounded to the tensor's type: f32 or bf16.
void StoreElement(const Tensor& t, int64_t i, float value);

// c (M, N) = alpha * op(a) * op(b) + beta * c, as gemm.h has it; a and b have no gaps between rows.
struct WidenedProduct {
  const std::vector<float>& a;
  const std::vector<float>& b;
  std::vector<float>& c;
  int64_t M, N, K;
  bool transpose_a = false, transpose_b = false;
  float alpha = 1, beta = 0;
};
void Multiply(const WidenedProduct& product);

}  // namespace ingot::cuda
