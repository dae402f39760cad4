#include "kernels/gradient_norm.h"

#include <cmath>

namespace ingot {

void GradientNorm::Check() const {
  const int64_t N = x.dim(0);
  INGOT_CHECK_SHAPE(x, N);
  INGOT_CHECK_SHAPE(block_sums, (N + kBlock - 1) / kBlock);
  INGOT_CHECK_DTYPE(block_sums, DType::kF64);
}

Work GradientNorm::Cost() const {
  return {.bytes = static_cast<double>(Bytes(x)), .flops = 2.0 * static_cast<double>(Count(x))};
}

namespace {

double TreeSum(const double* x, int64_t count) {
  if (count == 1) return x[0];
  int64_t left = 1;
  while (2 * left < count) left *= 2;  // the largest power of two below count: the tree of a prefix is a subtree
  return TreeSum(x, left) + TreeSum(x + left, count - left);
}

}  // namespace

double NormOfBlockSums(const double* block_sums, int64_t count) {
  return count == 0 ? 0.0 : std::sqrt(TreeSum(block_sums, count));
}

}  // namespace ingot
