#include "kernels/sample_token.h"

#include "kernels/checks.h"

namespace ingot {

void SampleToken::Check() const {
  INGOT_CHECK_SHAPE(logits, logits.dim(0));
  INGOT_CHECK_SHAPE(token, 1);
  CheckF32(kName, {logits});
  INGOT_CHECK_DTYPE(token, DType::kI32);
  INGOT_CHECK(uniform >= 0 && uniform < 1, "%s: uniform is %g", kName, uniform);
  INGOT_CHECK(temperature >= 0 && top_k >= 0 && top_p >= 0 && top_p <= 1 && vocabulary >= 0,
              "%s: temperature %g, top_k %lld, top_p %g, vocabulary %lld", kName, temperature,
              static_cast<long long>(top_k), top_p, static_cast<long long>(vocabulary));
  CheckApart(kName, {token}, {logits});
}

Work SampleToken::Cost() const {
  return {.bytes = static_cast<double>(Bytes(logits) + Bytes(token)),
          .flops = 3.0 * static_cast<double>(Count(logits))};
}

}  // namespace ingot
