#pragma once
// Sums over rows in two steps whose order follows from the shape alone: a block of threads sums a fixed stretch of rows
// into one partial row of scratch, then AddPartials folds the partial rows in order.
#include <cstdint>

#include "kernels/cuda/packs.cuh"

namespace ingot {

inline constexpr int kPartialColumns = 32, kPartialLanes = 16;

struct PartialSums {
  double of_lane[kPartialLanes][kPartialColumns];
};

// Memory plan: a block owns 32 columns; lane y adds partial rows y, y + 16, ... in double, 128 bytes a warp, and the 16
// lanes are folded in halves through 4 KiB of shared memory. Traffic: count * N floats read, N read and written.
template <typename Unused>
__global__ void AddPartialsKernel(const float* partials, int64_t count, int64_t stride, int64_t N, float* out) {
  PartialSums& sums = SharedStorage<PartialSums>();
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const int64_t n = int64_t{blockIdx.x} * kPartialColumns + x;
  double sum = 0;
  if (n < N) {
    for (int64_t i = y; i < count; i += kPartialLanes) sum += static_cast<double>(partials[i * stride + n]);
  }
  sums.of_lane[y][x] = sum;
  for (int half = kPartialLanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (y < half) sums.of_lane[y][x] += sums.of_lane[y + half][x];
  }
  if (y == 0 && n < N) out[n] = static_cast<float>(static_cast<double>(out[n]) + sums.of_lane[0][x]);
}

// out[n] += sum_i partials[i * stride + n] for n < N, over i < count.
inline void AddPartials(const float* partials, int64_t count, int64_t stride, int64_t N, float* out, void* stream) {
  if (N == 0) return;
  Launch(AddPartialsKernel<void>,
         {.grid = Blocks(CeilDivide(N, kPartialColumns)),
          .block = Blocks(kPartialColumns, kPartialLanes),
          .shared = sizeof(PartialSums),
          .stream = stream},
         partials, count, stride, N, out);
}

}  // namespace ingot
