#pragma once
// The two products around GELU in a feed-forward block. On CUDA the activation may be part of the product (cuda/gemm.h).
#include "kernels/context.h"

namespace ingot {

//   pre[r,o] = sum_i x[r,i] * w[o,i] + bias[o]
//   y[r,o]   = gelu(pre[r,o])
// In bf16 y is made of pre as it is before it is rounded, or after; `in_parts` asks for the latter, which is what GeluForward
// computes again from pre.
struct GeluMatmulForward {
  static constexpr char kName[] = "gelu_matmul_forward";
  Tensor x;          // (R, I)
  Tensor w;          // (O, I)
  Tensor bias = {};  // (O)
  Tensor pre;        // (R, O)  =   kept for backward
  Tensor y;          // (R, O)  =
  bool in_parts = false;
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t CudaScratchBytes() const;
};

// Of y = x * transpose(w) + bias with x = gelu(pre):
//   dpre[r,i] = gelu'(pre[r,i]) * sum_o dy[r,o] * w[o,i]
//   dw[o,i]  += sum_r dy[r,o] * x[r,i]
//   dbias[o] += sum_r dy[r,o]
struct GeluMatmulBackward {
  static constexpr char kName[] = "gelu_matmul_backward";
  Tensor dy;          // (R, O)
  Tensor x;           // (R, I)
  Tensor w;           // (O, I)
  Tensor pre;         // (R, I)
  Tensor dpre;        // (R, I)  =
  Tensor dw;          // (O, I)  +=
  Tensor dbias = {};  // (O)     +=
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t CudaScratchBytes() const;
};

}  // namespace ingot
