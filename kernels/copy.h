#pragma once
// A copy on one device, in the order of its ops.
#include "kernels/context.h"

namespace ingot {

//   y[n] = x[n]     the same bits
struct Copy {
  static constexpr char kName[] = "copy";
  Tensor x;  // any shape and dtype
  Tensor y;  // as many elements of the same dtype, other memory  =
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

}  // namespace ingot
