#include "kernels/gelu.h"

#include "kernels/checks.h"

namespace ingot {

void GeluForward::Check() const {
  const int64_t R = x.dim(0), F = x.dim(1);
  INGOT_CHECK_SHAPE(x, R, F);
  INGOT_CHECK_SHAPE(y, R, F);
  CheckFloats(kName, {x, y});
  INGOT_CHECK_SAME_OR_APART(y, x);
}

// Operations are counted as the loops state them, exp as 16.
Work GeluForward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(x) + Bytes(y)), .flops = 24.0 * static_cast<double>(Count(x))};
}

void GeluBackward::Check() const {
  const int64_t R = x.dim(0), F = x.dim(1);
  INGOT_CHECK_SHAPE(dy, R, F);
  INGOT_CHECK_SHAPE(x, R, F);
  INGOT_CHECK_SHAPE(dx, R, F);
  CheckFloats(kName, {dy, x, dx});
  INGOT_CHECK_SAME_OR_APART(dx, dy);
  CheckApart(kName, {dx}, {x});
}

Work GeluBackward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(dy) + Bytes(x) + Bytes(dx)),
          .flops = 34.0 * static_cast<double>(Count(x))};
}

}  // namespace ingot
