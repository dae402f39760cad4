#include "kernels/swiglu.h"

#include "kernels/cuda/packs.cuh"
#include "kernels/cuda/sigmoid.cuh"

namespace ingot {
namespace {

// Memory plan: a thread owns one pack of 16 bytes of gate, of up and of y; a block 256 packs, along a row if it is that
// long. Traffic: gate_up read, y written once: 3 R F elements.
template <typename Scalar, int kWidth>
__global__ void ForwardKernel(const Scalar* gate_up, Scalar* y, int64_t R, int64_t F) {
  const auto [r, f] = MyRowPlace<kWidth>();
  if (r >= R || f >= F) return;
  float gate[kWidth], up[kWidth];
  LoadFloats(gate_up + r * 2 * F + f, gate);
  LoadFloats(gate_up + r * 2 * F + F + f, up);
  for (int i = 0; i < kWidth; ++i) up[i] *= gate[i] * SigmoidAndComplement(gate[i]).value;
  StoreFloats(y + r * F + f, up);
}

// Memory plan: as forward. Traffic: dy and gate_up read, dgate_up written once: 5 R F elements. dgate_up may be gate_up:
// a thread reads its packs before it writes them.
template <typename Scalar, int kWidth>
__global__ void BackwardKernel(const Scalar* dy, const Scalar* gate_up, Scalar* dgate_up, int64_t R, int64_t F) {
  const auto [r, f] = MyRowPlace<kWidth>();
  if (r >= R || f >= F) return;
  const int64_t gate_at = r * 2 * F + f, up_at = gate_at + F;
  float d[kWidth], gate[kWidth], up[kWidth];
  LoadFloats(dy + r * F + f, d);
  LoadFloats(gate_up + gate_at, gate);
  LoadFloats(gate_up + up_at, up);
  for (int i = 0; i < kWidth; ++i) {
    const SigmoidParts s = SigmoidAndComplement(gate[i]);
    const float dgated = d[i] * up[i];
    up[i] = d[i] * gate[i] * s.value;
    gate[i] = dgated * s.value * (1.0f + gate[i] * s.complement);
  }
  StoreFloats(dgate_up + gate_at, gate);
  StoreFloats(dgate_up + up_at, up);
}

}  // namespace

void SwigluForward::OnCuda(Context& ctx) const {
  const int64_t R = y.dim(0), F = y.dim(1);
  if (Count(y) == 0) return;
  DispatchPacks(y.dtype, InPacks(y.dtype, F, {gate_up, y}), [&]<typename Scalar, int kWidth>() {
    Launch(ForwardKernel<Scalar, kWidth>, RowLaunch(R, F, kWidth, ctx.stream()), gate_up.data<Scalar>(),
           y.data<Scalar>(), R, F);
  });
}

void SwigluBackward::OnCuda(Context& ctx) const {
  const int64_t R = dy.dim(0), F = dy.dim(1);
  if (Count(dy) == 0) return;
  DispatchPacks(dy.dtype, InPacks(dy.dtype, F, {dy, gate_up, dgate_up}), [&]<typename Scalar, int kWidth>() {
    Launch(BackwardKernel<Scalar, kWidth>, RowLaunch(R, F, kWidth, ctx.stream()), dy.data<Scalar>(),
           gate_up.data<Scalar>(), dgate_up.data<Scalar>(), R, F);
  });
}

}  // namespace ingot
