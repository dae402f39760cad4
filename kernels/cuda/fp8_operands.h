#pragma once
// Fp8Matrix as an operand of a product.
#include "kernels/cuda/gemm_fp8.h"
#include "kernels/fp8_matrix.h"

namespace ingot::cuda {

// x (R, C), summed over C.
inline Fp8Operand ByRows(const Fp8Matrix& x) {
  return {.values = x.rows, .scales = x.scales.data<float>(), .stride_m = Fp8Matrix::Blocks(x.C()), .stride_k = 1};
}
// x^T (C, R), summed over R.
inline Fp8Operand ByColumns(const Fp8Matrix& x) {
  return {.values = x.columns, .scales = x.scales.data<float>(), .stride_m = 1, .stride_k = Fp8Matrix::Blocks(x.C())};
}

}  // namespace ingot::cuda
