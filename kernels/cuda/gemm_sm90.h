#pragma once
// Matrix products by a kernel of our own for sm_90a (H100, H200): TMA, mbarriers, wgmma. Any other GPU refuses them; the
// emulator runs them.
#include "kernels/cuda/gemm.h"

namespace ingot::cuda {

// Whether the current device and the kernel take the product: bf16 operands whose rows begin at multiples of 16 bytes. c may
// have any shape.
bool TakesGemmSm90(const Gemm& gemm);
// As RunGemm(). One block owns each element of c and adds in the order of k, so that the bits do not depend on how many
// multiprocessors there are. A product that is not taken is a programmer's error.
void RunGemmSm90(const Gemm& gemm, void* stream);

// gate_up[r,:] = x[r,:] * transpose(w), rounded to bf16; gate is its first half of columns, up the second:
//   y[r,f] = gate[r,f] / (1 + exp(-gate[r,f])) * up[r,f]
// The product and SwigluForward in one kernel: gate_up is written for backward, and not read.
struct SwigluGemm {
  Tensor x;        // (R, C)
  Tensor w;        // (2F, C)
  Tensor gate_up;  // (R, 2F)  =
  Tensor y;        // (R, F)   =
  void Check() const;
};
bool TakesSwigluGemmSm90(const SwigluGemm& gemm);
void RunSwigluGemmSm90(const SwigluGemm& gemm, void* stream);

}  // namespace ingot::cuda
