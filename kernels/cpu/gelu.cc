// 0.5 * (1 + tanh u) = 1 / (1 + e^-2u): the sigmoid keeps the digits that 1 + tanh loses where tanh is near -1.
#include "kernels/gelu.h"

#include "kernels/checks.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/vector_math.h"

namespace ingot {
namespace {

constexpr float kTwoRootTwoOverPi = 1.5957691216f;
constexpr float kCubic = 0.044715f;

// 2u = 2 * sqrt(2/pi) * (x + 0.044715 x^3)
inline float TwoU(float x) { return kTwoRootTwoOverPi * x * (1.0f + kCubic * x * x); }

}  // namespace

void GeluForward::OnCpu(Context&) const {
  CheckMemory(kName, {x, y});
  const float* const in = x.data<float>();
  float* const out = y.data<float>();
  const int64_t N = Count(x);
#pragma omp parallel for simd if (WorthThreads(N))
  for (int64_t n = 0; n < N; ++n) out[n] = in[n] * Sigmoid(TwoU(in[n]));
}

void GeluBackward::OnCpu(Context&) const {
  CheckMemory(kName, {dy, x, dx});
  const float *const dout = dy.data<float>(), *const in = x.data<float>();
  float* const din = dx.data<float>();
  const int64_t N = Count(x);
#pragma omp parallel for simd if (WorthThreads(N))
  for (int64_t n = 0; n < N; ++n) {
    const float a = in[n];
    const SigmoidParts s = SigmoidAndComplement(TwoU(a));
    const float slope = kTwoRootTwoOverPi * (1.0f + 3.0f * kCubic * a * a);
    din[n] = dout[n] * (s.value + a * s.value * s.complement * slope);
  }
}

}  // namespace ingot
