#pragma once
// Sum of squares of a flat range in a fixed order, from which the global gradient norm is made: the bits depend neither
// on threads nor on how ranges are spread over ranks.
#include "kernels/context.h"

namespace ingot {

struct GradientNorm {
  static constexpr char kName[] = "gradient_norm";
  static constexpr int64_t kBlock = 65536;  // elements of one partial sum

  //   block_sums[i] = sum of x[n]^2 over n in [i * kBlock, (i + 1) * kBlock), in double, lanes in a fixed order
  Tensor x;           // (N)
  Tensor block_sums;  // (ceil(N / kBlock)) f64  =
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

// sqrt of the sum of `count` block sums, added by a fixed binary tree.
double NormOfBlockSums(const double* block_sums, int64_t count);

}  // namespace ingot
