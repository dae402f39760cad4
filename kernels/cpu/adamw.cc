#include "kernels/adamw.h"

#include <algorithm>
#include <cmath>

#include "kernels/adamw_factors.h"
#include "kernels/checks.h"
#include "kernels/cpu/rows.h"

namespace ingot {
namespace {

// The new w, m and v of one element in fp32.
inline void Update(const AdamWFactors& k, float gradient, float& w, float& m, float& v) {
  const float g = k.scale * gradient;
  m = k.beta1 * m + k.new1 * g;
  v = k.beta2 * v + k.new2 * g * g;
  w = w * k.keep - k.rate * m / (std::sqrt(v) * k.root + k.eps);
}

void WithF32Moments(const AdamW& op) {
  float *const w = op.w.data<float>(), *const m = op.m.data<float>(), *const v = op.v.data<float>();
  const float* const gradient = op.gradient.data<float>();
  Bf16* const copy = op.w_bf16.data<Bf16>();
  const int64_t N = Count(op.w);
  const AdamWFactors factors(op);
#pragma omp parallel for simd if (WorthThreads(N)) firstprivate(factors)
  for (int64_t n = 0; n < N; ++n) {
    Update(factors, gradient[n], w[n], m[n], v[n]);
    if (copy != nullptr) copy[n] = ToBf16(w[n]);
  }
}

void WithBf16Moments(const AdamW& op) {
  constexpr int kFour = 4;  // elements that share a draw
  float* const w = op.w.data<float>();
  Bf16 *const m = op.m.data<Bf16>(), *const v = op.v.data<Bf16>(), *const copy = op.w_bf16.data<Bf16>();
  const float* const gradient = op.gradient.data<float>();
  const int64_t N = Count(op.w);
  const AdamWFactors factors(op);
  const AdamWRounding rounding(op);
#pragma omp parallel for if (WorthThreads(N))
  for (int64_t begin = 0; begin < N; begin += kFour) {
    const int64_t count = std::min<int64_t>(kFour, N - begin);
    float first[kFour] = {}, second[kFour] = {};
    for (int64_t i = 0, n = begin; i < count; ++i, ++n) {
      first[i] = ToFloat(m[n]), second[i] = ToFloat(v[n]);
      Update(factors, gradient[n], w[n], first[i], second[i]);
      if (copy != nullptr) copy[n] = ToBf16(w[n]);
    }
    rounding.Round(begin, first, second);
    for (int64_t i = 0, n = begin; i < count; ++i, ++n) m[n] = ToBf16(first[i]), v[n] = ToBf16(second[i]);
  }
}

}  // namespace

void AdamW::OnCpu(Context&) const {
  CheckMemory(kName, {w, gradient, m, v, w_bf16});
  m.dtype == DType::kF32 ? WithF32Moments(*this) : WithBf16Moments(*this);
}

}  // namespace ingot
