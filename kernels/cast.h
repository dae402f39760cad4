#pragma once
// Rounding between the number formats of weights and activations.
#include "kernels/context.h"

namespace ingot {

//   y[n] = x[n], to nearest, ties to even; NaN stays NaN, what is too large becomes infinite
struct Cast {
  static constexpr char kName[] = "cast";
  Tensor x;  // any shape, f32 or bf16
  Tensor y;  // the same shape, f32 or bf16  =
  void Check() const;
  void OnCpu(Context&) const;
  Work Cost() const;
};

}  // namespace ingot
