#include "kernels/add.h"

#include "kernels/cuda/packs.cuh"

namespace ingot {
namespace {

// Memory plan: a thread reads one pack of 16 bytes of each and writes one, or both where x is cleared; every element once.
template <int kWidth, bool kClears>
__global__ void AddKernel(float* x, float* y, int64_t N) {
  ForMyPack<kWidth>(N, [&]<int kCount>(int64_t n) {
    float a[kCount], b[kCount];
    LoadFloats(y + n, a);
    LoadFloats(x + n, b);
    for (int i = 0; i < kCount; ++i) a[i] += b[i];
    StoreFloats(y + n, a);
    if constexpr (kClears) {
      for (int i = 0; i < kCount; ++i) b[i] = 0;
      StoreFloats(x + n, b);
    }
  });
}

template <bool kClears>
void Launched(const Tensor& x, const Tensor& y, void* stream) {
  const int64_t N = Count(x);
  if (N == 0) return;
  if (InPacks(DType::kF32, 0, {x, y})) {
    Launch(AddKernel<4, kClears>, FlatLaunch(N, 4, stream), x.data<float>(), y.data<float>(), N);
  } else {
    Launch(AddKernel<1, kClears>, FlatLaunch(N, 1, stream), x.data<float>(), y.data<float>(), N);
  }
}

}  // namespace

void Add::OnCuda(Context& ctx) const { Launched<false>(x, y, ctx.stream()); }

void AddAndClear::OnCuda(Context& ctx) const { Launched<true>(x, y, ctx.stream()); }

}  // namespace ingot
