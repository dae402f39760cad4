#pragma once
// The matrix product of 8-bit operands. On a GPU of compute capability 9.0 a kernel of our own (TMA, wgmma); on the emulator
// the CPU's BLAS on the operands' values, or that kernel where INGOT_GEMM=sm90 asks for it.
#include <cstdint>

#include "core/base/tensor.h"

namespace ingot::cuda {

// One operand, its K along the rows of `values`. x[m,k] = values[m,k] * scales[m / 128 * stride_m + k / 128 * stride_k].
struct Fp8Operand {
  Tensor values;  // (M, K) e4m3 or e5m2
  const float* scales = nullptr;
  int64_t stride_m = 0, stride_k = 0;
};

// c[m,n] = sum_k a[m,k] * b[n,k] + beta * c[m,n] + bias[n]
// in device memory. Sums are f32: those of 128 terms on the values alone, then scaled and added up. beta is 0 or 1; with 0 the
// old c is not read.
struct GemmFp8 {
  Fp8Operand a;      // (M, K)
  Fp8Operand b;      // (N, K)
  Tensor c;          // (M, N) f32 or bf16
  Tensor bias = {};  // (N) of c's type
  float beta = 0;
  int64_t M() const { return c.dim(0); }
  int64_t N() const { return c.dim(1); }
  int64_t K() const { return a.values.dim(1); }
  void Check() const;
};

// Why the current device has no products of 8-bit operands: a line for users. Empty: it has.
// The kernel wants K, and so each width of a layer and the rows of a micro-batch, in multiples of 16.
const char* WhyNoFp8();

// In the stream's order. One block owns each element of c and adds in the order of k.
void RunGemmFp8(const GemmFp8& gemm, void* stream);

}  // namespace ingot::cuda
