#include "kernels/swiglu.h"

#include "kernels/cuda/fp8_tile.cuh"
#include "kernels/cuda/packs.cuh"
#include "kernels/cuda/sigmoid.cuh"
#include "kernels/quantize_fp8.h"

namespace ingot {
namespace {

// up[f] = y[r,f]
template <typename Scalar, int kWidth>
__device__ __forceinline__ void Activation(const Scalar* gate_up, int64_t r, int64_t f, int64_t F,
                                           float (&up)[kWidth]) {
  float gate[kWidth];
  LoadFloats(gate_up + r * 2 * F + f, gate);
  LoadFloats(gate_up + r * 2 * F + F + f, up);
  for (int i = 0; i < kWidth; ++i) up[i] *= gate[i] * SigmoidAndComplement(gate[i]).value;
}

// gate[f] = dgate_up[r,f], up[f] = dgate_up[r,F + f]
template <typename Scalar, int kWidth>
__device__ __forceinline__ void Gradient(const Scalar* dy, const Scalar* gate_up, int64_t r, int64_t f, int64_t F,
                                         float (&gate)[kWidth], float (&up)[kWidth]) {
  float d[kWidth];
  LoadFloats(dy + r * F + f, d);
  LoadFloats(gate_up + r * 2 * F + f, gate);
  LoadFloats(gate_up + r * 2 * F + F + f, up);
  for (int i = 0; i < kWidth; ++i) {
    const SigmoidParts s = SigmoidAndComplement(gate[i]);
    const float dgated = d[i] * up[i];
    up[i] = d[i] * gate[i] * s.value;
    gate[i] = dgated * s.value * (1.0f + gate[i] * s.complement);
  }
}

// Memory plan: a thread owns one pack of 16 bytes of gate, of up and of y; a block 256 packs, along a row if it is that
// long. Traffic: gate_up read, y written once: 3 R F elements.
template <typename Scalar, int kWidth>
__global__ void ForwardKernel(const Scalar* gate_up, Scalar* y, int64_t R, int64_t F) {
  const auto [r, f] = MyRowPlace<kWidth>();
  if (r >= R || f >= F) return;
  float up[kWidth];
  Activation(gate_up, r, f, F, up);
  StoreFloats(y + r * F + f, up);
}

// Memory plan: as forward. Traffic: dy and gate_up read, dgate_up written once: 5 R F elements. dgate_up may be gate_up:
// a thread reads its packs before it writes them.
template <typename Scalar, int kWidth>
__global__ void BackwardKernel(const Scalar* dy, const Scalar* gate_up, Scalar* dgate_up, int64_t R, int64_t F) {
  const auto [r, f] = MyRowPlace<kWidth>();
  if (r >= R || f >= F) return;
  float gate[kWidth], up[kWidth];
  Gradient(dy, gate_up, r, f, F, gate, up);
  StoreFloats(dgate_up + r * 2 * F + f, gate);
  StoreFloats(dgate_up + r * 2 * F + F + f, up);
}

// The output as it is rounded to fp8. Traffic: gate_up read once.
template <typename Scalar>
struct ForwardElements {
  const Scalar* gate_up;
  int64_t F;
  template <int kCount>
  __device__ __forceinline__ void operator()(int64_t r, int64_t f, float (&y)[kCount]) const {
    Activation(gate_up, r, f, F, y);
    for (int i = 0; i < kCount; ++i) y[i] = Rounded<Scalar>(y[i]);
  }
};

// Traffic: dy and gate_up read twice, once for the blocks of dgate and once for those of dup. A block of the one and that of
// the other follow each other where F is in whole blocks, so that the second reading is from L2.
template <typename Scalar>
struct BackwardElements {
  const Scalar *dy, *gate_up;
  int64_t F;
  __device__ __forceinline__ int64_t ColumnBlock(int64_t i) const {
    return F % kFp8Block != 0 ? i : i % 2 * (F / kFp8Block) + i / 2;
  }
  template <int kCount>
  __device__ __forceinline__ void operator()(int64_t r, int64_t c, float (&dgate_up)[kCount]) const {
    const bool of_up = c >= F;
    float up[kCount];
    Gradient(dy, gate_up, r, of_up ? c - F : c, F, dgate_up, up);
    for (int i = 0; i < kCount; ++i) dgate_up[i] = Rounded<Scalar>(of_up ? up[i] : dgate_up[i]);
  }
};

}  // namespace

void SwigluForward::OnCuda(Context& ctx) const {
  const int64_t R = gate_up.dim(0), F = gate_up.dim(1) / 2;
  if (Count(gate_up) == 0) return;
  if (y.absent()) {
    return DispatchFloat(gate_up.dtype, [&]<typename Scalar>() {
      LaunchFp8Tiles(ForwardElements<Scalar>{gate_up.data<Scalar>(), F}, InFp8Packs(F, {gate_up}), y8, ctx.stream());
    });
  }
  DispatchPacks(y.dtype, InPacks(y.dtype, F, {gate_up, y}), [&]<typename Scalar, int kWidth>() {
    Launch(ForwardKernel<Scalar, kWidth>, RowLaunch(R, F, kWidth, ctx.stream()), gate_up.data<Scalar>(),
           y.data<Scalar>(), R, F);
  });
  if (!y8.absent()) QuantizeFp8{.x = y, .y = y8}.OnCuda(ctx);
}

void SwigluBackward::OnCuda(Context& ctx) const {
  const int64_t R = dy.dim(0), F = dy.dim(1);
  if (Count(dy) == 0) return;
  if (dgate_up.absent()) {
    return DispatchFloat(dy.dtype, [&]<typename Scalar>() {
      LaunchFp8Tiles(BackwardElements<Scalar>{dy.data<Scalar>(), gate_up.data<Scalar>(), F},
                     InFp8Packs(F, {dy, gate_up}), dgate_up8, ctx.stream());
    });
  }
  DispatchPacks(dy.dtype, InPacks(dy.dtype, F, {dy, gate_up, dgate_up}), [&]<typename Scalar, int kWidth>() {
    Launch(BackwardKernel<Scalar, kWidth>, RowLaunch(R, F, kWidth, ctx.stream()), dy.data<Scalar>(),
           gate_up.data<Scalar>(), dgate_up.data<Scalar>(), R, F);
  });
  if (!dgate_up8.absent()) QuantizeFp8{.x = dgate_up, .y = dgate_up8}.OnCuda(ctx);
}

}  // namespace ingot
