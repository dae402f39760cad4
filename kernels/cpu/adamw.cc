#include "kernels/adamw.h"

#include <cmath>

#include "kernels/adamw_factors.h"
#include "kernels/checks.h"
#include "kernels/cpu/rows.h"

namespace ingot {

void AdamW::OnCpu(Context&) const {
  CheckMemory(kName, {w, gradient, m, v, w_bf16});
  float *const weights = w.data<float>(), *const first = m.data<float>(), *const second = v.data<float>();
  const float* const gradients = gradient.data<float>();
  Bf16* const copy = w_bf16.data<Bf16>();
  const int64_t N = Count(w);
  const AdamWFactors factors(*this);
#pragma omp parallel for simd if (WorthThreads(N)) firstprivate(factors)
  for (int64_t n = 0; n < N; ++n) {
    const AdamWFactors& k = factors;
    const float g = k.scale * gradients[n];
    first[n] = k.beta1 * first[n] + k.new1 * g;
    second[n] = k.beta2 * second[n] + k.new2 * g * g;
    weights[n] = weights[n] * k.keep - k.rate * first[n] / (std::sqrt(second[n]) * k.root + k.eps);
    if (copy != nullptr) copy[n] = ToBf16(weights[n]);
  }
}

}  // namespace ingot
