#pragma once
// RMSNorm over channels (Zhang & Sennrich 2019, arXiv:1910.07467), fused with the residual addition before it.
#include "kernels/context.h"
#include "kernels/fp8_matrix.h"

namespace ingot {

//   sum[r,c]  = x[r,c] + residual[r,c]
//   rstd[r]   = 1 / sqrt(mean_c(sum[r,c]^2) + eps)
//   y[r,c]    = sum[r,c] * rstd[r] * w[c]
// y8 is y rounded to fp8, after it was rounded to x's type. One of the two may be absent.
struct ResidualRmsNormForward {
  static constexpr char kName[] = "residual_rmsnorm_forward";
  Tensor x;              // (R, C)
  Tensor residual = {};  // (R, C)  absent: sum = x, and `sum` is absent too
  Tensor w;              // (C)
  Tensor sum = {};       // (R, C)  =   may be x itself
  Tensor y = {};         // (R, C)  =
  Fp8Matrix y8 = {};     // (R, C)  =
  Tensor rstd;           // (R)     =   kept for backward
  float eps = 1e-6f;
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
};

// With x the `sum` of forward and g[r,c] = dy[r,c] * w[c]:
//   dx[r,c]  = dsum[r,c] + rstd[r] * (g[r,c] - x[r,c] * rstd[r]^2 * mean_c(g[r,c] * x[r,c]))
//   dw[c]   += sum_r dy[r,c] * x[r,c] * rstd[r]
// dx is the gradient of both x and residual.
struct ResidualRmsNormBackward {
  static constexpr char kName[] = "residual_rmsnorm_backward";
  Tensor dy;         // (R, C)
  Tensor dsum = {};  // (R, C)  gradient that reaches the sum by its other road, the residual stream
  Tensor x;          // (R, C)
  Tensor w;          // (C)
  Tensor rstd;       // (R)
  Tensor dx;         // (R, C)  =   may be dsum or dy itself
  Tensor dw;         // (C)     +=
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
  int64_t CudaScratchBytes() const;
};

}  // namespace ingot
