#pragma once
// AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) over one flat range, gradient scaling (clipping) in the same pass.
#include "kernels/context.h"

namespace ingot {

// With g = gradient_scale * gradient[n]:
//   m[n] = beta1 * m[n] + (1 - beta1) * g
//   v[n] = beta2 * v[n] + (1 - beta2) * g^2
//   w[n] = w[n] * (1 - learning_rate * weight_decay)
//          - learning_rate * (m[n] / (1 - beta1^step)) / (sqrt(v[n] / (1 - beta2^step)) + eps)
// All f32 but w_bf16, and m and v where they are bf16: the new m and v are then rounded stochastically (beta2 = 0.999
// moves v by less than half a bf16 ulp, which rounding to nearest would drop for ever), after w was made of them. Element
// n takes its 32 random bits from word e % 4 of Philox{rounding_seed}.Bits(step, e / 4), e = first_element + n: the lower
// half for m, the upper for v.
struct AdamW {
  static constexpr char kName[] = "adamw";
  Tensor w;            // (N)  read and written
  Tensor gradient;     // (N)
  Tensor m;            // (N)  read and written; f32 or bf16
  Tensor v;            // (N)  read and written; as m
  Tensor w_bf16 = {};  // (N) bf16  =   the new w, rounded to nearest
  int64_t step;        // counts from 1
  float learning_rate;
  float beta1;
  float beta2;
  float eps;
  float weight_decay;
  float gradient_scale = 1;
  uint64_t rounding_seed = 0;  // bf16 moments only
  int64_t first_element = 0;   // bf16 moments only: the place of element 0 among all parameters, a multiple of 4
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

}  // namespace ingot
