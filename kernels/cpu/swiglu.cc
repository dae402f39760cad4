#include "kernels/swiglu.h"

#include "kernels/checks.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/vector_math.h"

namespace ingot {

void SwigluForward::OnCpu(Context&) const {
  CheckMemory(kName, {gate_up, y});
  const int64_t R = y.dim(0), F = y.dim(1);
  const float* const in = gate_up.data<float>();
  float* const out = y.data<float>();
#pragma omp parallel for if (WorthThreads(R * F))
  for (int64_t r = 0; r < R; ++r) {
    const float *const gate = in + r * 2 * F, *const up = gate + F;
#pragma omp simd
    for (int64_t f = 0; f < F; ++f) out[r * F + f] = gate[f] * Sigmoid(gate[f]) * up[f];
  }
}

void SwigluBackward::OnCpu(Context&) const {
  CheckMemory(kName, {dy, gate_up, dgate_up});
  const int64_t R = dy.dim(0), F = dy.dim(1);
  const float *const dout = dy.data<float>(), *const in = gate_up.data<float>();
  float* const din = dgate_up.data<float>();
#pragma omp parallel for if (WorthThreads(R * F))
  for (int64_t r = 0; r < R; ++r) {
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
}

}  // namespace ingot
