#pragma once
#include "kernels/context.h"

namespace ingot {

//   y[n] = value
struct Fill {
  static constexpr char kName[] = "fill";
  Tensor y;  // any shape  =
  float value = 0;
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

}  // namespace ingot
