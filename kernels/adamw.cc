#include "kernels/adamw.h"

#include <limits>

#include "kernels/checks.h"

namespace ingot {

void AdamW::Check() const {
  const int64_t N = w.dim(0);
  INGOT_CHECK_SHAPE(w, N);
  INGOT_CHECK_SHAPE(gradient, N);
  INGOT_CHECK_SHAPE(m, N);
  INGOT_CHECK_SHAPE(v, N);
  INGOT_CHECK_OPTIONAL_SHAPE(w_bf16, N);
  CheckF32(kName, {w, gradient});
  CheckFloats(kName, {m, v});
  INGOT_CHECK_DTYPE(w_bf16, DType::kBf16);
  CheckApart(kName, {w, m, v, w_bf16}, {gradient});
  INGOT_CHECK(step >= 1, "adamw: steps count from 1, not %lld", static_cast<long long>(step));
  INGOT_CHECK(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1, "adamw: betas %g, %g must lie in [0, 1)",
              static_cast<double>(beta1), static_cast<double>(beta2));
  // A denormal eps would be flushed to 0, and 0 / 0 would make a NaN of a weight that never had a gradient.
  INGOT_CHECK(eps >= std::numeric_limits<float>::min(), "adamw: eps %g is not a normal number above 0",
              static_cast<double>(eps));
  INGOT_CHECK(first_element % 4 == 0, "adamw: element %lld is not the first of four that share their random bits",
              static_cast<long long>(first_element));
}

Work AdamW::Cost() const {
  return {.bytes = static_cast<double>(3 * Bytes(w) + 2 * Bytes(m) + 2 * Bytes(v) + Bytes(w_bf16)),
          .flops = 15.0 * static_cast<double>(Count(w))};
}

}  // namespace ingot
