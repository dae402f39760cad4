#include "kernels/gradient_norm.h"

#include <bit>
#include <cmath>

#include "kernels/checks.h"

namespace ingot {
namespace {

// The left half of the tree is the largest power of two that leaves something to the right.
double TreeSum(const double* terms, int64_t count) {
  if (count == 0) return 0;
  if (count == 1) return terms[0];
  const auto left = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(count - 1)));
  return TreeSum(terms, left) + TreeSum(terms + left, count - left);
}

}  // namespace

void GradientNorm::Check() const {
  const int64_t N = x.dim(0), blocks = (N + kBlock - 1) / kBlock;
  INGOT_CHECK_SHAPE(x, N);
  INGOT_CHECK_SHAPE(block_sums, blocks);
  CheckF32(kName, {x});
  INGOT_CHECK_DTYPE(block_sums, DType::kF64);
  CheckApart(kName, {block_sums}, {x});
}

Work GradientNorm::Cost() const {
  return {.bytes = static_cast<double>(Bytes(x) + Bytes(block_sums)), .flops = 2.0 * static_cast<double>(Count(x))};
}

double NormOfBlockSums(const double* block_sums, int64_t count) { return std::sqrt(TreeSum(block_sums, count)); }

}  // namespace ingot
