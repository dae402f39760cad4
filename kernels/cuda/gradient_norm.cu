#include "kernels/gradient_norm.h"

#include "kernels/cuda/packs.cuh"

namespace ingot {
namespace {

constexpr int kThreads = 256;

struct Sums {
  double of_thread[kThreads];
};

// Memory plan: a block owns the elements of one block sum. Thread i adds the squares of packs i, i + 256, ... in double;
// the threads' sums are folded in halves through 2 KiB of shared memory. Traffic: x read once.
template <int kWidth>
__global__ void SquaresKernel(const float* x, double* block_sums, int64_t N) {
  Sums& sums = SharedStorage<Sums>();
  const int t = static_cast<int>(threadIdx.x);
  const int64_t begin = int64_t{blockIdx.x} * GradientNorm::kBlock;
  const int64_t end = begin + GradientNorm::kBlock < N ? begin + GradientNorm::kBlock : N;
  double sum = 0;
  for (int64_t n = begin + t * kWidth; n < end; n += kThreads * kWidth) {
    float pack[kWidth];
    if (n + kWidth <= end) {
      LoadFloats(x + n, pack);
    } else {
      for (int i = 0; i < kWidth; ++i) pack[i] = n + i < end ? x[n + i] : 0.0f;
    }
    for (int i = 0; i < kWidth; ++i) sum += static_cast<double>(pack[i]) * static_cast<double>(pack[i]);
  }
  sums.of_thread[t] = sum;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) sums.of_thread[t] += sums.of_thread[t + half];
  }
  if (t == 0) block_sums[blockIdx.x] = sums.of_thread[0];
}

}  // namespace

void GradientNorm::OnCuda(Context& ctx) const {
  const int64_t blocks = Count(block_sums);
  if (blocks == 0) return;
  const LaunchConfig config = {
      .grid = Blocks(blocks), .block = Blocks(kThreads), .shared = sizeof(Sums), .stream = ctx.stream()};
  if (InPacks(x.dtype, 0, {x})) {
    Launch(SquaresKernel<4>, config, x.data<float>(), block_sums.data<double>(), Count(x));
  } else {
    Launch(SquaresKernel<1>, config, x.data<float>(), block_sums.data<double>(), Count(x));
  }
}

}  // namespace ingot
