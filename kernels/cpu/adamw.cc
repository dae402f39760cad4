#include "kernels/adamw.h"

#include <cmath>

#include "kernels/checks.h"
#include "kernels/cpu/rows.h"

namespace ingot {
namespace {

// The scalars of a step, made in double: 1 - beta^step loses most of its digits in fp32.
struct Factors {
  explicit Factors(const AdamW& op)
      : beta1(op.beta1),
        new1(static_cast<float>(1 - static_cast<double>(op.beta1))),
        beta2(op.beta2),
        new2(static_cast<float>(1 - static_cast<double>(op.beta2))),
        keep(static_cast<float>(1 - static_cast<double>(op.learning_rate) * static_cast<double>(op.weight_decay))),
        rate(static_cast<float>(static_cast<double>(op.learning_rate) / Correction(op.beta1, op.step))),
        root(static_cast<float>(1 / std::sqrt(Correction(op.beta2, op.step)))),
        eps(op.eps),
        scale(op.gradient_scale) {}
  static double Correction(float beta, int64_t step) {
    return 1 - std::pow(static_cast<double>(beta), static_cast<double>(step));
  }
  float beta1, new1, beta2, new2, keep, rate, root, eps, scale;
};

}  // namespace

void AdamW::OnCpu(Context&) const {
  CheckMemory(kName, {w, gradient, m, v, w_bf16});
  float *const weights = w.data<float>(), *const first = m.data<float>(), *const second = v.data<float>();
  const float* const gradients = gradient.data<float>();
  const int64_t N = Count(w);
  const Factors factors(*this);
#pragma omp parallel for simd if (WorthThreads(N)) firstprivate(factors)
  for (int64_t n = 0; n < N; ++n) {
    const Factors& k = factors;
    const float g = k.scale * gradients[n];
    first[n] = k.beta1 * first[n] + k.new1 * g;
    second[n] = k.beta2 * second[n] + k.new2 * g * g;
    weights[n] = weights[n] * k.keep - k.rate * first[n] / (std::sqrt(second[n]) * k.root + k.eps);
  }
  if (w_bf16.absent()) return;
  Bf16* const rounded = w_bf16.data<Bf16>();
#pragma omp parallel for simd if (WorthThreads(N))
  for (int64_t n = 0; n < N; ++n) rounded[n] = ToBf16(weights[n]);
}

}  // namespace ingot
