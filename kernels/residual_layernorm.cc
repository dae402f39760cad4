#include "kernels/residual_layernorm.h"

#include "kernels/checks.h"

namespace ingot {

void ResidualLayerNormForward::Check() const {
  const int64_t R = x.dim(0), C = x.dim(1);
  INGOT_CHECK_SHAPE(x, R, C);
  INGOT_CHECK_OPTIONAL_SHAPE(residual, R, C);
  INGOT_CHECK_SHAPE(w, C);
  INGOT_CHECK_SHAPE(b, C);
  INGOT_CHECK(sum.absent() == residual.absent(), "residual and sum are given both or not at all");
  INGOT_CHECK_OPTIONAL_SHAPE(sum, R, C);
  INGOT_CHECK(!y.absent() || !y8.absent(), "%s: y must be given, or y8", kName);
  INGOT_CHECK_OPTIONAL_SHAPE(y, R, C);
  y8.Check(kName, R, C);
  INGOT_CHECK_SHAPE(mean, R);
  INGOT_CHECK_SHAPE(rstd, R);
  CheckFloats(kName, {x, residual, w, b, sum, y});
  CheckF32(kName, {mean, rstd});
  CheckApart(kName, {y, mean, rstd}, {x, residual, w, b});
  CheckApart(kName, {sum, y, mean, rstd, y8.rows, y8.columns, y8.scales}, {residual, w, b});
  CheckApart(kName, {y8.rows, y8.columns, y8.scales}, {x});
  INGOT_CHECK_SAME_OR_APART(sum, x);
}

Work ResidualLayerNormForward::Cost() const {
  const double inputs = static_cast<double>(Bytes(x) + Bytes(residual) + Bytes(w) + Bytes(b));
  return {.bytes = inputs + static_cast<double>(Bytes(sum) + Bytes(y) + Bytes(y8) + Bytes(mean) + Bytes(rstd)),
          .flops = (residual.absent() ? 8.0 : 9.0) * static_cast<double>(Count(x))};
}

void ResidualLayerNormBackward::Check() const {
  const int64_t R = dy.dim(0), C = dy.dim(1);
  INGOT_CHECK_SHAPE(dy, R, C);
  INGOT_CHECK_OPTIONAL_SHAPE(dsum, R, C);
  INGOT_CHECK_SHAPE(x, R, C);
  INGOT_CHECK_SHAPE(w, C);
  INGOT_CHECK_SHAPE(mean, R);
  INGOT_CHECK_SHAPE(rstd, R);
  INGOT_CHECK_SHAPE(dx, R, C);
  INGOT_CHECK_SHAPE(dw, C);
  INGOT_CHECK_SHAPE(db, C);
  CheckFloats(kName, {dy, dsum, x, w, dx});
  CheckF32(kName, {mean, rstd, dw, db});
  CheckApart(kName, {dx, dw, db}, {x, w, mean, rstd});
  CheckApart(kName, {dw, db}, {dy, dsum});
  INGOT_CHECK_SAME_OR_APART(dx, dy);
  INGOT_CHECK_SAME_OR_APART(dx, dsum);
}

Work ResidualLayerNormBackward::Cost() const {
  const double inputs = static_cast<double>(Bytes(dy) + Bytes(dsum) + Bytes(x) + Bytes(w) + Bytes(mean) + Bytes(rstd));
  return {.bytes = inputs + static_cast<double>(Bytes(dx) + 2 * Bytes(dw) + 2 * Bytes(db)),
          .flops = (dsum.absent() ? 16.0 : 17.0) * static_cast<double>(Count(x))};
}

}  // namespace ingot
