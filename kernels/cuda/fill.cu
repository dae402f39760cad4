#include "kernels/fill.h"

#include "kernels/cuda/packs.cuh"

namespace ingot {
namespace {

// Memory plan: a thread writes one pack of 16 bytes; every element once.
template <typename Scalar, int kWidth>
__global__ void FillKernel(Scalar* y, float value, int64_t N) {
  ForMyPack<kWidth>(N, [&]<int kCount>(int64_t n) {
    float x[kCount];
    for (int i = 0; i < kCount; ++i) x[i] = value;
    StoreFloats(y + n, x);
  });
}

}  // namespace

void Fill::OnCuda(Context& ctx) const {
  const int64_t N = Count(y);
  if (N == 0) return;
  DispatchPacks(y.dtype, InPacks(y.dtype, 0, {y}), [&]<typename Scalar, int kWidth>() {
    Launch(FillKernel<Scalar, kWidth>, FlatLaunch(N, kWidth, ctx.stream()), y.data<Scalar>(), value, N);
  });
}

}  // namespace ingot
