#pragma once
// The first product of a gated feed-forward block and its activation. On CUDA they may be one kernel (gemm_sm90.h).
#include "kernels/context.h"

namespace ingot {

// gate_up[r,:] = x[r,:] * transpose(w), as MatmulForward; gate is its first half of columns, up the second:
//   y[r,f] = gate[r,f] / (1 + exp(-gate[r,f])) * up[r,f]
// from gate_up as it was rounded for its type, as SwigluForward. Backward: SwigluBackward, then MatmulBackward.
struct SwigluMatmulForward {
  static constexpr char kName[] = "swiglu_matmul_forward";
  Tensor x;        // (R, C)
  Tensor w;        // (2F, C)
  Tensor gate_up;  // (R, 2F)  =   kept for backward
  Tensor y;        // (R, F)   =
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t CudaScratchBytes() const;
};

}  // namespace ingot
