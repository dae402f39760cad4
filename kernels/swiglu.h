#pragma once
// SwiGLU, the gated activation of the feed-forward block (Shazeer 2020, arXiv:2002.05202).
#include "kernels/context.h"
#include "kernels/fp8_matrix.h"

namespace ingot {

// gate[r,f] = gate_up[r,f], up[r,f] = gate_up[r, F + f]:
//   s[r,f] = 1 / (1 + exp(-gate[r,f]))
//   y[r,f] = gate[r,f] * s[r,f] * up[r,f]
// y8 is y rounded to fp8, after it was rounded to gate_up's type. One of the two may be absent.
struct SwigluForward {
  static constexpr char kName[] = "swiglu_forward";
  Tensor gate_up;     // (R, 2F)
  Tensor y = {};      // (R, F)  =
  Fp8Matrix y8 = {};  // (R, F)  =
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
};

// s is computed again; forward leaves nothing behind but its input.
//   dgate[r,f] = dy[r,f] * up[r,f] * s[r,f] * (1 + gate[r,f] * (1 - s[r,f]))
//   dup[r,f]   = dy[r,f] * gate[r,f] * s[r,f]
// dgate_up8 is dgate_up rounded to fp8, after it was rounded to dy's type. One of the two may be absent.
struct SwigluBackward {
  static constexpr char kName[] = "swiglu_backward";
  Tensor dy;                 // (R, F)
  Tensor gate_up;            // (R, 2F)
  Tensor dgate_up = {};      // (R, 2F)  =   may be gate_up itself
  Fp8Matrix dgate_up8 = {};  // (R, 2F)  =
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
};

}  // namespace ingot
