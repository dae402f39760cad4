#pragma once
// Sum into a buffer, such as of gradients whose order of sums is fixed (distributed/sum_tree.h).
#include "kernels/context.h"

namespace ingot {

//   y[n] = y[n] + x[n]     one rounding
struct Add {
  static constexpr char kName[] = "add";
  Tensor x;  // any shape, f32
  Tensor y;  // as many elements, f32  +=
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

//   y[n] = y[n] + x[n], x[n] = 0     what x held has been moved to a sum, and x has room for the next
struct AddAndClear {
  static constexpr char kName[] = "add_and_clear";
  Tensor x;  // any shape, f32           =
  Tensor y;  // as many elements, f32    +=
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

}  // namespace ingot
