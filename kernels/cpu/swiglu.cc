#include "kernels/swiglu.h"

#include "kernels/checks.h"
#include "kernels/cpu/fp8_blocks.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/vector_math.h"

namespace ingot {

int64_t SwigluForward::ScratchBytes() const { return BandBytes(gate_up.dim(0), gate_up.dim(1) / 2, y); }

void SwigluForward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {gate_up, y, y8.rows, y8.columns, y8.scales});
  const int64_t R = gate_up.dim(0), F = gate_up.dim(1) / 2;
  MakeRows(ctx, R, F, y, y8, [&](int64_t first, int64_t rows, float* out) {
    const float* const in = gate_up.data<float>() + first * 2 * F;
#pragma omp parallel for if (WorthThreads(rows * F))
    for (int64_t r = 0; r < rows; ++r) {
      const float *const gate = in + r * 2 * F, *const up = gate + F;
#pragma omp simd
      for (int64_t f = 0; f < F; ++f) out[r * F + f] = gate[f] * Sigmoid(gate[f]) * up[f];
    }
  });
}

int64_t SwigluBackward::ScratchBytes() const { return BandBytes(gate_up.dim(0), gate_up.dim(1), dgate_up); }

void SwigluBackward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {dy, gate_up, dgate_up, dgate_up8.rows, dgate_up8.columns, dgate_up8.scales});
  const int64_t R = dy.dim(0), F = dy.dim(1);
  MakeRows(ctx, R, 2 * F, dgate_up, dgate_up8, [&](int64_t first, int64_t rows, float* din) {
    const float *const dout = dy.data<float>() + first * F, *const in = gate_up.data<float>() + first * 2 * F;
#pragma omp parallel for if (WorthThreads(rows * F))
    for (int64_t r = 0; r < rows; ++r) {
      const float *const d = dout + r * F, *const gate = in + r * 2 * F, *const up = gate + F;
      float *const dgate = din + r * 2 * F, *const dup = dgate + F;
#pragma omp simd
      for (int64_t f = 0; f < F; ++f) {
        const float g = gate[f], dgated = d[f] * up[f];
        const SigmoidParts s = SigmoidAndComplement(g);
        dup[f] = d[f] * g * s.value;
        dgate[f] = dgated * s.value * (1.0f + g * s.complement);
      }
    }
  });
}

}  // namespace ingot
