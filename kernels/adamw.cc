#include "kernels/adamw.h"

namespace ingot {

void AdamW::Check() const {
  const int64_t N = w.dim(0);
  for (const Tensor& t : {w, gradient, m, v}) INGOT_CHECK_SHAPE(t, N);
  INGOT_CHECK(step >= 1, "step counts from 1, not %lld", static_cast<long long>(step));
}

Work AdamW::Cost() const {
  return {.bytes = 7.0 * static_cast<double>(Bytes(w)), .flops = 16.0 * static_cast<double>(Count(w))};
}

}  // namespace ingot
