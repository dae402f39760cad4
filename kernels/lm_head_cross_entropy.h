#pragma once
// The language-model head fused with its loss: logits are made for a chunk of rows, used for the loss and, in place,
// for the gradients, and overwritten by the next chunk's; (R, V) logits never exist.
#include "kernels/context.h"
#include "kernels/fp8_matrix.h"

namespace ingot {

//   z[r,v]    = sum_c x[r,c] * w[v,c]
//   lse[r]    = log(sum_v exp(z[r,v]))
//   losses[r] = lse[r] - z[r,targets[r]], in nats; 0 where targets[r] = -1
// and, if dx and dw are given, with the z-loss of PaLM (Chowdhery et al. 2022, arXiv:2204.02311, section 5) as an added
// term z_loss * lse[r]^2 that `losses` leaves out:
//   dz[r,v]   = scale * ((1 + 2 * z_loss * lse[r]) * exp(z[r,v] - lse[r]) - [v = targets[r]]); 0 where targets[r] = -1
//   dx[r,c]   = sum_v dz[r,v] * w[v,c]
//   dw[v,c]  += sum_r dz[r,v] * x[r,c]
// x, w and dx are f32, or bf16 on CUDA; there z and dz / scale are rounded to bf16 too, sums are fp32. losses, dw: f32.
// With w8 in place of w the three products are of fp8: x is rounded to w8's type, scaled dz, of full f32, to e5m2, whose range
// holds both a target's 1 and the many small probabilities beside it.
struct LmHeadCrossEntropy {
  static constexpr char kName[] = "lm_head_cross_entropy";
  Tensor x;            // (R, C)
  Tensor w = {};       // (V, C)  absent with w8
  Tensor targets;      // (R) i32, each -1 or in [0, V)
  Tensor losses;       // (R)     =
  Tensor greedy = {};  // (R) i32 =   arg max_v z[r,v], the smallest on ties
  Tensor dx = {};      // (R, C)  =   dx and dw both or none
  Tensor dw = {};      // (V, C)  +=
  Fp8Matrix w8 = {};   // (V, C)  rows and, with dx, columns
  float scale = 1;     // of the gradient: 1 / targets that count in the whole step
  float z_loss = 0;
  int64_t V() const { return w8.absent() ? w.dim(0) : w8.R(); }
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
  int64_t CudaScratchBytes() const;
};

}  // namespace ingot
