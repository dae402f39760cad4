#pragma once
// GELU in its tanh form (Hendrycks & Gimpel 2016, arXiv:1606.08415), "gelu_new" of Hugging Face.
#include "kernels/context.h"

namespace ingot {

//   u[n] = sqrt(2/pi) * (x[n] + 0.044715 * x[n]^3)
//   y[n] = 0.5 * x[n] * (1 + tanh(u[n]))
struct GeluForward {
  static constexpr char kName[] = "gelu_forward";
  Tensor x;  // (R, F)
  Tensor y;  // (R, F)  =   may be x itself
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

//   dx[n] = dy[n] * (0.5 * (1 + tanh u) + 0.5 * x * (1 - tanh^2 u) * sqrt(2/pi) * (1 + 3 * 0.044715 * x^2))
struct GeluBackward {
  static constexpr char kName[] = "gelu_backward";
  Tensor dy;  // (R, F)
  Tensor x;   // (R, F)
  Tensor dx;  // (R, F)  =   may be dy itself
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

}  // namespace ingot
