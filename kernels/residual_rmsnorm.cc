#include "kernels/residual_rmsnorm.h"

#include "kernels/checks.h"

namespace ingot {

void ResidualRmsNormForward::Check() const {
  const int64_t R = x.dim(0), C = x.dim(1);
  INGOT_CHECK_SHAPE(x, R, C);
  INGOT_CHECK_OPTIONAL_SHAPE(residual, R, C);
  INGOT_CHECK_SHAPE(w, C);
  INGOT_CHECK(sum.absent() == residual.absent(), "residual and sum are given both or not at all");
  INGOT_CHECK_OPTIONAL_SHAPE(sum, R, C);
  INGOT_CHECK(!y.absent() || !y8.absent(), "%s: y must be given, or y8", kName);
  INGOT_CHECK_OPTIONAL_SHAPE(y, R, C);
  y8.Check(kName, R, C);
  INGOT_CHECK_SHAPE(rstd, R);
  CheckFloats(kName, {x, residual, w, sum, y});
  CheckF32(kName, {rstd});
  CheckApart(kName, {y, rstd}, {x, residual, w});
  CheckApart(kName, {sum, y, rstd, y8.rows, y8.columns, y8.scales}, {residual, w});
  CheckApart(kName, {y8.rows, y8.columns, y8.scales}, {x});
  INGOT_CHECK_SAME_OR_APART(sum, x);
}

Work ResidualRmsNormForward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(x) + Bytes(residual) + Bytes(w) + Bytes(sum) + Bytes(y) + Bytes(y8) +
                                       Bytes(rstd)),
          .flops = (residual.absent() ? 4.0 : 5.0) * static_cast<double>(Count(x))};
}

void ResidualRmsNormBackward::Check() const {
  const int64_t R = dy.dim(0), C = dy.dim(1);
  INGOT_CHECK_SHAPE(dy, R, C);
  INGOT_CHECK_OPTIONAL_SHAPE(dsum, R, C);
  INGOT_CHECK_SHAPE(x, R, C);
  INGOT_CHECK_SHAPE(w, C);
  INGOT_CHECK_SHAPE(rstd, R);
  INGOT_CHECK_SHAPE(dx, R, C);
  INGOT_CHECK_SHAPE(dw, C);
  CheckFloats(kName, {dy, dsum, x, w, dx});
  CheckF32(kName, {rstd, dw});
  CheckApart(kName, {dx, dw}, {x, w, rstd});
  CheckApart(kName, {dw}, {dy, dsum});
  INGOT_CHECK_SAME_OR_APART(dx, dy);
  INGOT_CHECK_SAME_OR_APART(dx, dsum);
}

Work ResidualRmsNormBackward::Cost() const {
  const double inputs = static_cast<double>(Bytes(dy) + Bytes(dsum) + Bytes(x) + Bytes(w) + Bytes(rstd));
  return {.bytes = inputs + static_cast<double>(Bytes(dx) + 2 * Bytes(dw)),
          .flops = (dsum.absent() ? 11.0 : 12.0) * static_cast<double>(Count(x))};
}

}  // namespace ingot
