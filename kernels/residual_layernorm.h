#pragma once
// LayerNorm over channels (Ba, Kiros & Hinton 2016, arXiv:1607.06450), fused with the residual addition before it.
#include "kernels/context.h"
#include "kernels/fp8_matrix.h"

namespace ingot {

//   sum[r,c] = x[r,c] + residual[r,c]
//   mean[r]  = mean_c(sum[r,c])
//   rstd[r]  = 1 / sqrt(mean_c((sum[r,c] - mean[r])^2) + eps)
//   y[r,c]   = (sum[r,c] - mean[r]) * rstd[r] * w[c] + b[c]
// y8 is y rounded to fp8, after it was rounded to x's type. One of the two may be absent.
struct ResidualLayerNormForward {
  static constexpr char kName[] = "residual_layernorm_forward";
  Tensor x;              // (R, C)
  Tensor residual = {};  // (R, C)  absent: sum = x, and `sum` is absent too
  Tensor w;              // (C)
  Tensor b;              // (C)
  Tensor sum = {};       // (R, C)  =   may be x itself
  Tensor y = {};         // (R, C)  =
  Fp8Matrix y8 = {};     // (R, C)  =
  Tensor mean;           // (R)     =   kept for backward
  Tensor rstd;           // (R)     =   kept for backward
  float eps = 1e-5f;
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
};

// With x the `sum` of forward, n[r,c] = (x[r,c] - mean[r]) * rstd[r] and g[r,c] = dy[r,c] * w[c]:
//   dx[r,c]  = dsum[r,c] + rstd[r] * (g[r,c] - mean_c(g[r,c]) - n[r,c] * mean_c(g[r,c] * n[r,c]))
//   dw[c]   += sum_r dy[r,c] * n[r,c]
//   db[c]   += sum_r dy[r,c]
struct ResidualLayerNormBackward {
  static constexpr char kName[] = "residual_layernorm_backward";
  Tensor dy;         // (R, C)
  Tensor dsum = {};  // (R, C)  gradient that reaches the sum by its other road, the residual stream
  Tensor x;          // (R, C)
  Tensor w;          // (C)
  Tensor mean;       // (R)
  Tensor rstd;       // (R)
  Tensor dx;         // (R, C)  =   may be dsum or dy itself
  Tensor dw;         // (C)     +=
  Tensor db;         // (C)     +=
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
  int64_t CudaScratchBytes() const;
};

}  // namespace ingot
