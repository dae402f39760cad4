#include "kernels/add.h"

#include "kernels/cuda/packs.cuh"

namespace ingot {
namespace {

// Memory plan: a thread reads one pack of 16 bytes of each and writes one; every element once.
template <int kWidth>
__global__ void AddKernel(const float* x, float* y, int64_t N) {
  ForMyPack<kWidth>(N, [&]<int kCount>(int64_t n) {
    float a[kCount], b[kCount];
    LoadFloats(y + n, a);
    LoadFloats(x + n, b);
    for (int i = 0; i < kCount; ++i) a[i] += b[i];
    StoreFloats(y + n, a);
  });
}

}  // namespace

void Add::OnCuda(Context& ctx) const {
  const int64_t N = Count(x);
  if (N == 0) return;
  if (InPacks(DType::kF32, 0, {x, y})) {
    Launch(AddKernel<4>, FlatLaunch(N, 4, ctx.stream()), x.data<float>(), y.data<float>(), N);
  } else {
    Launch(AddKernel<1>, FlatLaunch(N, 1, ctx.stream()), x.data<float>(), y.data<float>(), N);
  }
}

}  // namespace ingot
