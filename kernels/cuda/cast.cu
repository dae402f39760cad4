#include "kernels/cast.h"

#include "kernels/cuda/packs.cuh"

namespace ingot {
namespace {

// Memory plan: a thread moves 8 elements, 32 bytes of f32 on one side and 16 of bf16 on the other; each element once.
template <typename From, typename To, int kWidth>
__global__ void CastKernel(const From* x, To* y, int64_t N) {
  ForMyPack<kWidth>(N, [&]<int kCount>(int64_t n) {
    float values[kCount];
    LoadFloats(x + n, values);
    StoreFloats(y + n, values);
  });
}

template <typename From, typename To>
void Convert(Context& ctx, const Tensor& x, const Tensor& y) {
  const int64_t N = Count(x);
  if (InPacks(DType::kBf16, 0, {x, y})) {
    Launch(CastKernel<From, To, 8>, FlatLaunch(N, 8, ctx.stream()), x.data<From>(), y.data<To>(), N);
  } else {
    Launch(CastKernel<From, To, 1>, FlatLaunch(N, 1, ctx.stream()), x.data<From>(), y.data<To>(), N);
  }
}

}  // namespace

void Cast::OnCuda(Context& ctx) const {
  if (Count(x) == 0) return;
  x.dtype == DType::kF32 ? Convert<float, Bf16>(ctx, x, y) : Convert<Bf16, float>(ctx, x, y);
}

}  // namespace ingot
