// 0.5 * (1 + tanh u) = 1 / (1 + e^-2u): the sigmoid keeps the digits that 1 + tanh loses where tanh is near -1.
#include "kernels/gelu.h"

#include "kernels/cuda/fp8_tile.cuh"
#include "kernels/cuda/packs.cuh"
#include "kernels/cuda/sigmoid.cuh"
#include "kernels/quantize_fp8.h"

namespace ingot {
namespace {

constexpr float kTwoRootTwoOverPi = 1.5957691216f;
constexpr float kCubic = 0.044715f;

// 2u = 2 * sqrt(2/pi) * (x + 0.044715 x^3)
__device__ __forceinline__ float TwoU(float x) { return kTwoRootTwoOverPi * x * (1.0f + kCubic * x * x); }

// a = y of the elements from x
template <typename Scalar, int kCount>
__device__ __forceinline__ void Activation(const Scalar* x, float (&a)[kCount]) {
  LoadFloats(x, a);
  for (int i = 0; i < kCount; ++i) a[i] *= SigmoidAndComplement(TwoU(a[i])).value;
}

// d = dx of the elements from dy and x
template <typename Scalar, int kCount>
__device__ __forceinline__ void Gradient(const Scalar* dy, const Scalar* x, float (&d)[kCount]) {
  float a[kCount];
  LoadFloats(dy, d);
  LoadFloats(x, a);
  for (int i = 0; i < kCount; ++i) {
    const SigmoidParts s = SigmoidAndComplement(TwoU(a[i]));
    const float slope = kTwoRootTwoOverPi * (1.0f + 3.0f * kCubic * a[i] * a[i]);
    d[i] *= s.value + a[i] * s.value * s.complement * slope;
  }
}

// Memory plan: element-wise, a thread owns one pack of 16 bytes of each array. Traffic: x read, y written once. y may be
// x: a thread reads its pack before it writes it.
template <typename Scalar, int kWidth>
__global__ void ForwardKernel(const Scalar* x, Scalar* y, int64_t N) {
  ForMyPack<kWidth>(N, [&]<int kCount>(int64_t n) {
    float a[kCount];
    Activation(x + n, a);
    StoreFloats(y + n, a);
  });
}

// Memory plan: as forward; dy and x read, dx written once. dx may be dy.
template <typename Scalar, int kWidth>
__global__ void BackwardKernel(const Scalar* dy, const Scalar* x, Scalar* dx, int64_t N) {
  ForMyPack<kWidth>(N, [&]<int kCount>(int64_t n) {
    float d[kCount];
    Gradient(dy + n, x + n, d);
    StoreFloats(dx + n, d);
  });
}

// The output as it is rounded to fp8. Traffic: x read once.
template <typename Scalar>
struct ForwardElements {
  const Scalar* x;
  int64_t F;
  template <int kCount>
  __device__ __forceinline__ void operator()(int64_t r, int64_t f, float (&y)[kCount]) const {
    Activation(x + r * F + f, y);
    for (int i = 0; i < kCount; ++i) y[i] = Rounded<Scalar>(y[i]);
  }
};

// Traffic: dy and x read once.
template <typename Scalar>
struct BackwardElements {
  const Scalar *dy, *x;
  int64_t F;
  template <int kCount>
  __device__ __forceinline__ void operator()(int64_t r, int64_t f, float (&dx)[kCount]) const {
    Gradient(dy + r * F + f, x + r * F + f, dx);
    for (int i = 0; i < kCount; ++i) dx[i] = Rounded<Scalar>(dx[i]);
  }
};

}  // namespace

void GeluForward::OnCuda(Context& ctx) const {
  const int64_t N = Count(x);
  if (N == 0) return;
  if (y.absent()) {
    const int64_t F = x.dim(1);
    return DispatchFloat(x.dtype, [&]<typename Scalar>() {
      LaunchFp8Tiles(ForwardElements<Scalar>{x.data<Scalar>(), F}, InFp8Packs(F, {x}), y8, ctx.stream());
    });
  }
  DispatchPacks(x.dtype, InPacks(x.dtype, 0, {x, y}), [&]<typename Scalar, int kWidth>() {
    Launch(ForwardKernel<Scalar, kWidth>, FlatLaunch(N, kWidth, ctx.stream()), x.data<Scalar>(), y.data<Scalar>(), N);
  });
  if (!y8.absent()) QuantizeFp8{.x = y, .y = y8}.OnCuda(ctx);
}

void GeluBackward::OnCuda(Context& ctx) const {
  const int64_t N = Count(x);
  if (N == 0) return;
  if (dx.absent()) {
    const int64_t F = x.dim(1);
    return DispatchFloat(x.dtype, [&]<typename Scalar>() {
      LaunchFp8Tiles(BackwardElements<Scalar>{dy.data<Scalar>(), x.data<Scalar>(), F}, InFp8Packs(F, {dy, x}), dx8,
                     ctx.stream());
    });
  }
  DispatchPacks(x.dtype, InPacks(x.dtype, 0, {dy, x, dx}), [&]<typename Scalar, int kWidth>() {
    Launch(BackwardKernel<Scalar, kWidth>, FlatLaunch(N, kWidth, ctx.stream()), dy.data<Scalar>(), x.data<Scalar>(),
           dx.data<Scalar>(), N);
  });
  if (!dx8.absent()) QuantizeFp8{.x = dx, .y = dx8}.OnCuda(ctx);
}

}  // namespace ingot
