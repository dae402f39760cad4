#pragma once
// The scalars of one AdamW step, made in double: 1 - beta^step loses most of its digits in fp32.
#include <cmath>

#include "kernels/adamw.h"

namespace ingot {

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
