#include "kernels/gelu.h"

#include "kernels/checks.h"

namespace ingot {

void GeluForward::Check() const {
  const int64_t R = x.dim(0), F = x.dim(1);
  INGOT_CHECK_SHAPE(x, R, F);
  INGOT_CHECK(!y.absent() || !y8.absent(), "%s: y must be given, or y8", kName);
  INGOT_CHECK_OPTIONAL_SHAPE(y, R, F);
  y8.Check(kName, R, F);
  CheckFloats(kName, {x, y});
  INGOT_CHECK_SAME_OR_APART(y, x);
  CheckApart(kName, {y8.rows, y8.columns, y8.scales}, {x, y});
}

// Operations are counted as the loops state them, exp as 16.
Work GeluForward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(x) + Bytes(y) + Bytes(y8)), .flops = 24.0 * static_cast<double>(Count(x))};
}

void GeluBackward::Check() const {
  const int64_t R = x.dim(0), F = x.dim(1);
  INGOT_CHECK_SHAPE(dy, R, F);
  INGOT_CHECK_SHAPE(x, R, F);
  INGOT_CHECK(!dx.absent() || !dx8.absent(), "%s: dx must be given, or dx8", kName);
  INGOT_CHECK_OPTIONAL_SHAPE(dx, R, F);
  dx8.Check(kName, R, F);
  CheckFloats(kName, {dy, x, dx});
  INGOT_CHECK_SAME_OR_APART(dx, dy);
  CheckApart(kName, {dx, dx8.rows, dx8.columns, dx8.scales}, {x});
  CheckApart(kName, {dx8.rows, dx8.columns, dx8.scales}, {dy});
}

Work GeluBackward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(dy) + Bytes(x) + Bytes(dx) + Bytes(dx8)),
          .flops = 34.0 * static_cast<double>(Count(x))};
}

}  // namespace ingot
