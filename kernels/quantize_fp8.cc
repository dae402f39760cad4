#include "kernels/quantize_fp8.h"

#include "kernels/checks.h"

namespace ingot {

void QuantizeFp8::Check() const {
  const int64_t R = x.dim(0), C = x.dim(1);
  INGOT_CHECK_SHAPE(x, R, C);
  y.Check(kName, R, C);
  INGOT_CHECK(!y.absent(), "%s: y is absent", kName);
  CheckFloats(kName, {x});
  CheckApart(kName, {y.rows, y.columns, y.scales}, {x});
}

// Operations: the maximum, the scaling, the rounding.
Work QuantizeFp8::Cost() const {
  return {.bytes = static_cast<double>(Bytes(x) + Bytes(y)), .flops = 3.0 * static_cast<double>(Count(x))};
}

}  // namespace ingot
