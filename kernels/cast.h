#pragma once
// Conversion between f32 and bf16, such as of weights whose master copy is f32.
#include "kernels/context.h"

namespace ingot {

//   y[n] = x[n]     f32 to bf16: to nearest, ties to even, NaN stays NaN, overflow to infinity; bf16 to f32: exact
struct Cast {
  static constexpr char kName[] = "cast";
  Tensor x;  // any shape, f32 or bf16
  Tensor y;  // as many elements, the other of the two  =
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

}  // namespace ingot
