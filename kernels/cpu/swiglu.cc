#include "kernels/swiglu.h"

#include "kernels/cpu/row_blocks.h"
#include "kernels/cpu/vector_math.h"

namespace ingot {

void SwigluForward::OnCpu(Context&) const {
  const int64_t R = y.dim(0), F = y.dim(1);
#pragma omp parallel for if (R * F > kParallelElements)
  for (int64_t r = 0; r < R; ++r) {
    const float *const gate = gate_up.data<float>() + r * 2 * F, *const up = gate + F;
    float* const out = y.data<float>() + r * F;
#pragma omp simd
    for (int64_t f = 0; f < F; ++f) out[f] = gate[f] * Sigmoid(gate[f]) * up[f];
  }
}

void SwigluBackward::OnCpu(Context&) const {
  const int64_t R = dy.dim(0), F = dy.dim(1);
#pragma omp parallel for if (R * F > kParallelElements)
  for (int64_t r = 0; r < R; ++r) {
    const float *const gate = gate_up.data<float>() + r * 2 * F, *const up = gate + F;
    const float* const dout = dy.data<float>() + r * F;
    float *const dgate = dgate_up.data<float>() + r * 2 * F, *const dup = dgate + F;
#pragma omp simd
    for (int64_t f = 0; f < F; ++f) {
      const float x = gate[f], s = Sigmoid(x), through = dout[f] * up[f];
      dup[f] = dout[f] * x * s;
      dgate[f] = through * s * (1.0f + x * (1.0f - s));
    }
  }
}

}  // namespace ingot
