#pragma once
// AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) over one flat range, gradient scaling (clipping) in the same pass.
#include "kernels/context.h"

namespace ingot {

// With g = gradient_scale * gradient[n]:
//   m[n] = beta1 * m[n] + (1 - beta1) * g
//   v[n] = beta2 * v[n] + (1 - beta2) * g^2
//   w[n] = w[n] * (1 - learning_rate * weight_decay)
//          - learning_rate * (m[n] / (1 - beta1^step)) / (sqrt(v[n] / (1 - beta2^step)) + eps)
// All f32 but w_bf16.
struct AdamW {
  static constexpr char kName[] = "adamw";
  Tensor w;            // (N)  read and written
  Tensor gradient;     // (N)
  Tensor m;            // (N)  read and written
  Tensor v;            // (N)  read and written
  Tensor w_bf16 = {};  // (N) bf16  =   the new w, rounded to nearest
  int64_t step;        // counts from 1
  float learning_rate;
  float beta1;
  float beta2;
  float eps;
  float weight_decay;
  float gradient_scale = 1;
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

}  // namespace ingot
