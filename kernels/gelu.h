#pragma once
// GELU in its tanh form (Hendrycks & Gimpel 2016, arXiv:1606.08415), "gelu_new" of Hugging Face.
#include "kernels/context.h"
#include "kernels/fp8_matrix.h"

namespace ingot {

//   u[n] = sqrt(2/pi) * (x[n] + 0.044715 * x[n]^3)
//   y[n] = 0.5 * x[n] * (1 + tanh(u[n]))
// y8 is y rounded to fp8, after it was rounded to x's type. One of the two may be absent.
struct GeluForward {
  static constexpr char kName[] = "gelu_forward";
  Tensor x;           // (R, F)
  Tensor y = {};      // (R, F)  =   may be x itself
  Fp8Matrix y8 = {};  // (R, F)  =
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
};

//   dx[n] = dy[n] * (0.5 * (1 + tanh u) + 0.5 * x * (1 - tanh^2 u) * sqrt(2/pi) * (1 + 3 * 0.044715 * x^2))
// dx8 is dx rounded to fp8, after it was rounded to x's type. One of the two may be absent.
struct GeluBackward {
  static constexpr char kName[] = "gelu_backward";
  Tensor dy;           // (R, F)
  Tensor x;            // (R, F)
  Tensor dx = {};      // (R, F)  =   may be dy itself
  Fp8Matrix dx8 = {};  // (R, F)  =
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
};

}  // namespace ingot
