#include "kernels/cuda/count_unequal.h"

#include "kernels/cuda/packs.cuh"

namespace ingot::cuda {
namespace {

// Memory plan: a thread reads one pack of 16 bytes; only threads that found something touch the count.
template <typename Scalar, int kWidth>
__global__ void CountUnequalKernel(const Scalar* t, float value, uint32_t* count, int64_t N) {
  ForMyPack<kWidth>(N, [&]<int kCount>(int64_t n) {
    float x[kCount];
    LoadFloats(t + n, x);
    uint32_t unequal = 0;
    for (int i = 0; i < kCount; ++i) unequal += x[i] == value ? 0 : 1;
    if (unequal != 0) atomicAdd(count, unequal);
  });
}

}  // namespace

void CountUnequal(const Tensor& t, float value, uint32_t* count, void* stream) {
  const int64_t N = Count(t);
  if (N == 0) return;
  DispatchPacks(t.dtype, InPacks(t.dtype, 0, {t}), [&]<typename Scalar, int kWidth>() {
    Launch(CountUnequalKernel<Scalar, kWidth>, FlatLaunch(N, kWidth, stream), t.data<Scalar>(), value, count, N);
  });
}

}  // namespace ingot::cuda
