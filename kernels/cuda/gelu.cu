// 0.5 * (1 + tanh u) = 1 / (1 + e^-2u): the sigmoid keeps the digits that 1 + tanh loses where tanh is near -1.
#include "kernels/gelu.h"

#include "kernels/cuda/packs.cuh"
#include "kernels/cuda/sigmoid.cuh"

namespace ingot {
namespace {

constexpr float kTwoRootTwoOverPi = 1.5957691216f;
constexpr float kCubic = 0.044715f;

// 2u = 2 * sqrt(2/pi) * (x + 0.044715 x^3)
__device__ __forceinline__ float TwoU(float x) { return kTwoRootTwoOverPi * x * (1.0f + kCubic * x * x); }

// Memory plan: element-wise, a thread owns one pack of 16 bytes of each array. Traffic: x read, y written once. y may be
// x: a thread reads its pack before it writes it.
template <typename Scalar, int kWidth>
__global__ void ForwardKernel(const Scalar* x, Scalar* y, int64_t N) {
  ForMyPack<kWidth>(N, [&]<int kCount>(int64_t n) {
    float a[kCount];
    LoadFloats(x + n, a);
    for (int i = 0; i < kCount; ++i) a[i] *= SigmoidAndComplement(TwoU(a[i])).value;
    StoreFloats(y + n, a);
  });
}

// Memory plan: as forward; dy and x read, dx written once. dx may be dy.
template <typename Scalar, int kWidth>
__global__ void BackwardKernel(const Scalar* dy, const Scalar* x, Scalar* dx, int64_t N) {
  ForMyPack<kWidth>(N, [&]<int kCount>(int64_t n) {
    float d[kCount], a[kCount];
    LoadFloats(dy + n, d);
    LoadFloats(x + n, a);
    for (int i = 0; i < kCount; ++i) {
      const SigmoidParts s = SigmoidAndComplement(TwoU(a[i]));
      const float slope = kTwoRootTwoOverPi * (1.0f + 3.0f * kCubic * a[i] * a[i]);
      d[i] *= s.value + a[i] * s.value * s.complement * slope;
    }
    StoreFloats(dx + n, d);
  });
}

}  // namespace

void GeluForward::OnCuda(Context& ctx) const {
  const int64_t N = Count(x);
  if (N == 0) return;
  DispatchPacks(x.dtype, InPacks(x.dtype, 0, {x, y}), [&]<typename Scalar, int kWidth>() {
    Launch(ForwardKernel<Scalar, kWidth>, FlatLaunch(N, kWidth, ctx.stream()), x.data<Scalar>(), y.data<Scalar>(), N);
  });
}

void GeluBackward::OnCuda(Context& ctx) const {
  const int64_t N = Count(x);
  if (N == 0) return;
  DispatchPacks(x.dtype, InPacks(x.dtype, 0, {dy, x, dx}), [&]<typename Scalar, int kWidth>() {
    Launch(BackwardKernel<Scalar, kWidth>, FlatLaunch(N, kWidth, ctx.stream()), dy.data<Scalar>(), x.data<Scalar>(),
           dx.data<Scalar>(), N);
  });
}

}  // namespace ingot
