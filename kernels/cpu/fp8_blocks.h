#pragma once
// Matrices in blocks of 128 x 128 fp8 values with a scale each (kernels/fp8_matrix.h), on the CPU.
#include <algorithm>
#include <cstdint>

#include "kernels/context.h"
#include "kernels/fp8_matrix.h"

namespace ingot {

// Rows [first, first + rows) of y, `first` a multiple of 128: those of x, which holds no others. y has C columns.
void QuantizeRows(const float* x, int64_t first, int64_t rows, int64_t C, const Fp8Matrix& y);

// out[r,c] = the values of rows [first, first + rows) of x, `first` a multiple of 128.
void DequantizeRows(const Fp8Matrix& x, int64_t first, int64_t rows, float* out);

// x (R, C), whose rows are `stride` apart, becomes what an fp8 matrix of it stands for.
void RoundToFp8(DType fp8, int64_t R, int64_t C, float* x, int64_t stride);

// Calls make(first, rows, out) for all R rows of an output of C columns: at once into `plain`, or, where `fp8` is wanted, a
// band of 128 rows at a time, which is then rounded. Without `plain` a band lies in scratch of BandBytes().
template <typename Make>
void MakeRows(Context& ctx, int64_t R, int64_t C, const Tensor& plain, const Fp8Matrix& fp8, const Make& make) {
  if (fp8.absent()) return make(int64_t{0}, R, plain.data<float>());
  float* const band = plain.absent() ? ctx.Scratch<float>(std::min(R, Fp8Matrix::kBlock) * C) : nullptr;
  for (int64_t first = 0; first < R; first += Fp8Matrix::kBlock) {
    const int64_t rows = std::min(Fp8Matrix::kBlock, R - first);
    float* const out = plain.absent() ? band : plain.data<float>() + first * C;
    make(first, rows, out);
    QuantizeRows(out, first, rows, C, fp8);
  }
}
inline int64_t BandBytes(int64_t R, int64_t C, const Tensor& plain) {
  return plain.absent() ? Context::ScratchFor<float>(std::min(R, Fp8Matrix::kBlock) * C) : 0;
}

}  // namespace ingot
