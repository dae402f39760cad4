#include "kernels/gradient_norm.h"

#include <algorithm>

namespace ingot {

void GradientNorm::OnCpu(Context&) const {
  constexpr int64_t kLanes = 16;  // independent chains, enough to fill the adders; part of the defined order
  const int64_t N = x.dim(0), blocks = block_sums.dim(0);
  const float* const values = x.data<float>();
  double* const sums = block_sums.data<double>();
#pragma omp parallel for if (blocks > 1)
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t begin = block * kBlock, end = std::min(begin + kBlock, N);
    double lanes[kLanes] = {};
    int64_t n = begin;
    for (; n + kLanes <= end; n += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const double value = values[n + lane];
        lanes[lane] += value * value;
      }
    }
    for (int64_t lane = 0; n < end; ++n, ++lane) lanes[lane] += static_cast<double>(values[n]) * values[n];
    double sum = 0;
    for (const double lane : lanes) sum += lane;
    sums[block] = sum;
  }
}

}  // namespace ingot
