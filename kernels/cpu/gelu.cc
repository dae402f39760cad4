// 0.5 * (1 + tanh u) = 1 / (1 + e^-2u): the sigmoid keeps the digits that 1 + tanh loses where tanh is near -1.
#include "kernels/gelu.h"

#include "kernels/checks.h"
#include "kernels/cpu/fp8_blocks.h"
#include "kernels/cpu/rows.h"
#include "kernels/cpu/vector_math.h"

namespace ingot {
namespace {

constexpr float kTwoRootTwoOverPi = 1.5957691216f;
constexpr float kCubic = 0.044715f;

// 2u = 2 * sqrt(2/pi) * (x + 0.044715 x^3)
inline float TwoU(float x) { return kTwoRootTwoOverPi * x * (1.0f + kCubic * x * x); }

}  // namespace

int64_t GeluForward::ScratchBytes() const { return BandBytes(x.dim(0), x.dim(1), y); }

void GeluForward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {x, y, y8.rows, y8.columns, y8.scales});
  const int64_t R = x.dim(0), F = x.dim(1);
  MakeRows(ctx, R, F, y, y8, [&](int64_t first, int64_t rows, float* out) {
    const float* const in = x.data<float>() + first * F;
    const int64_t N = rows * F;
#pragma omp parallel for simd if (WorthThreads(N))
    for (int64_t n = 0; n < N; ++n) out[n] = in[n] * Sigmoid(TwoU(in[n]));
  });
}

int64_t GeluBackward::ScratchBytes() const { return BandBytes(x.dim(0), x.dim(1), dx); }

void GeluBackward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {dy, x, dx, dx8.rows, dx8.columns, dx8.scales});
  const int64_t R = x.dim(0), F = x.dim(1);
  MakeRows(ctx, R, F, dx, dx8, [&](int64_t first, int64_t rows, float* din) {
    const float *const dout = dy.data<float>() + first * F, *const in = x.data<float>() + first * F;
    const int64_t N = rows * F;
#pragma omp parallel for simd if (WorthThreads(N))
    for (int64_t n = 0; n < N; ++n) {
      const float a = in[n];
      const SigmoidParts s = SigmoidAndComplement(TwoU(a));
      const float slope = kTwoRootTwoOverPi * (1.0f + 3.0f * kCubic * a * a);
      din[n] = dout[n] * (s.value + a * s.value * s.complement * slope);
    }
  });
}

}  // namespace ingot
