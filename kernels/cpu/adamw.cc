#include "kernels/adamw.h"

#include <cmath>

#include "kernels/cpu/row_blocks.h"

namespace ingot {

void AdamW::OnCpu(Context&) const {
  const int64_t N = w.dim(0);
  float *const weights = w.data<float>(), *const first = m.data<float>(), *const second = v.data<float>();
  const float* const gradients = gradient.data<float>();
  const double t = static_cast<double>(step);
  const float decay = 1.0f - learning_rate * weight_decay;
  const float rate = static_cast<float>(learning_rate / (1.0 - std::pow(static_cast<double>(beta1), t)));
  const float second_correction = static_cast<float>(1.0 / (1.0 - std::pow(static_cast<double>(beta2), t)));
  const float keep1 = beta1, add1 = 1.0f - beta1, keep2 = beta2, add2 = 1.0f - beta2, floor = eps;
  const float scale = gradient_scale;
#pragma omp parallel for simd if (parallel : N > kParallelElements)
  for (int64_t n = 0; n < N; ++n) {
    const float g = scale * gradients[n];
    const float mean = keep1 * first[n] + add1 * g;
    const float square = keep2 * second[n] + add2 * g * g;
    first[n] = mean;
    second[n] = square;
    weights[n] = weights[n] * decay - rate * mean / (std::sqrt(square * second_correction) + floor);
  }
}

}  // namespace ingot
