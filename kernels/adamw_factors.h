#pragma once
// The scalars of one AdamW step, made in double: 1 - beta^step loses most of its digits in fp32.
#include <cmath>

#include "core/base/bf16.h"
#include "core/base/philox.h"
#include "kernels/adamw.h"

namespace ingot {

// The random bits of bf16 moments.
struct AdamWRounding {
  explicit AdamWRounding(const AdamW& op)
      : philox{op.rounding_seed},
        step(static_cast<uint64_t>(op.step)),
        first_four(static_cast<uint64_t>(op.first_element) / 4) {}
  // Rounds the moments of elements [n, n + kCount), which lie in groups of four or in one of them. constexpr, so that
  // kernels can call it.
  template <int kCount>
  constexpr void Round(int64_t n, float (&m)[kCount], float (&v)[kCount]) const {
    const uint64_t element = static_cast<uint64_t>(n);
    for (uint64_t i = 0; i < kCount; i += 4) {
      const auto bits = philox.Bits(step, first_four + (element + i) / 4);
      for (uint64_t j = i; j < i + 4 && j < kCount; ++j) {
        const uint32_t word = bits[(element + j) % 4];
        m[j] = ToFloat(ToBf16Stochastic(m[j], word & 0xFFFFu));
        v[j] = ToFloat(ToBf16Stochastic(v[j], word >> 16));
      }
    }
  }
  Philox philox;
  uint64_t step, first_four;
};

struct AdamWFactors {
  explicit AdamWFactors(const AdamW& op)
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

}  // namespace ingot
