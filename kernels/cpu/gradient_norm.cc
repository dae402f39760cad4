#include "kernels/gradient_norm.h"

#include "kernels/checks.h"
#include "kernels/cpu/rows.h"

namespace ingot {
namespace {

constexpr int64_t kLanes = 16;

double SumOfSquares(const float* x, int64_t N) {
  double lanes[kLanes] = {};
  const int64_t whole = N / kLanes * kLanes;
  for (int64_t n = 0; n < whole; n += kLanes) {
#pragma omp simd
    for (int64_t i = 0; i < kLanes; ++i) lanes[i] += static_cast<double>(x[n + i]) * static_cast<double>(x[n + i]);
  }
  for (int64_t n = whole; n < N; ++n) lanes[n - whole] += static_cast<double>(x[n]) * static_cast<double>(x[n]);
  for (int64_t half = kLanes / 2; half > 0; half /= 2) {
    for (int64_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

}  // namespace

void GradientNorm::OnCpu(Context&) const {
  CheckMemory(kName, {x, block_sums});
  const float* const in = x.data<float>();
  double* const sums = block_sums.data<double>();
  const Pieces blocks = {Count(x), kBlock, Count(block_sums)};
#pragma omp parallel for if (blocks.count > 1)
  for (int64_t i = 0; i < blocks.count; ++i) sums[i] = SumOfSquares(in + blocks.begin(i), blocks.length(i));
}

}  // namespace ingot
