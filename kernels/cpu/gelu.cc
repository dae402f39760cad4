#include "kernels/gelu.h"

#include "kernels/cpu/row_blocks.h"
#include "kernels/cpu/vector_math.h"

namespace ingot {
namespace {

constexpr float kSqrt2OverPi = 0.7978845608f;
constexpr float kCubic = 0.044715f;

float InnerTanh(float x) { return Tanh(kSqrt2OverPi * (x + kCubic * x * x * x)); }

}  // namespace

void GeluForward::OnCpu(Context&) const {
  const int64_t N = Count(x);
  const float* const in = x.data<float>();
  float* const out = y.data<float>();
#pragma omp parallel for simd if (parallel : N > kParallelElements)
  for (int64_t n = 0; n < N; ++n) out[n] = 0.5f * in[n] * (1.0f + InnerTanh(in[n]));
}

void GeluBackward::OnCpu(Context&) const {
  const int64_t N = Count(x);
  const float *const in = x.data<float>(), *const dout = dy.data<float>();
  float* const din = dx.data<float>();
#pragma omp parallel for simd if (parallel : N > kParallelElements)
  for (int64_t n = 0; n < N; ++n) {
    const float v = in[n], tanh = InnerTanh(v);
    const float slope = kSqrt2OverPi * (1.0f + 3.0f * kCubic * v * v);
    din[n] = dout[n] * (0.5f * (1.0f + tanh) + 0.5f * v * (1.0f - tanh * tanh) * slope);
  }
}

}  // namespace ingot
