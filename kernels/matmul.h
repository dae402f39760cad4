#pragma once
// The linear layer. Here I is the width in, O the width out; weights are stored (O, I) as Hugging Face stores them.
#include "kernels/context.h"

namespace ingot {

//   y[r,o] = sum_i x[r,i] * w[o,i] + bias[o]
struct MatmulForward {
  static constexpr char kName[] = "matmul_forward";
  Tensor x;          // (R, I)
  Tensor w;          // (O, I)
  Tensor bias = {};  // (O)
  Tensor y;          // (R, O)  =  of x's type, or f32
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t CudaScratchBytes() const;
};

//   dx[r,i]   = sum_o dy[r,o] * w[o,i]
//   dw[o,i]  += sum_r dy[r,o] * x[r,i]
//   dbias[o] += sum_r dy[r,o]
struct MatmulBackward {
  static constexpr char kName[] = "matmul_backward";
  Tensor dy;          // (R, O)
  Tensor x;           // (R, I)
  Tensor w;           // (O, I)
  Tensor dx = {};     // (R, I)  =
  Tensor dw;          // (O, I)  +=
  Tensor dbias = {};  // (O)     +=
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t CudaScratchBytes() const;
};

}  // namespace ingot
