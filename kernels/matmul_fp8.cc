#include "kernels/matmul_fp8.h"

#include "kernels/checks.h"

namespace ingot {

void MatmulFp8Forward::Check() const {
  const int64_t R = y.dim(0), O = y.dim(1);
  INGOT_CHECK(!x.rows.absent() && !w.rows.absent(), "%s reads the rows of x and of w", kName);
  const int64_t I = x.C();
  x.Check(kName, R, I);
  w.Check(kName, O, I);
  INGOT_CHECK(!x.absent() && !w.absent(), "%s: x or w has no scales", kName);
  INGOT_CHECK_OPTIONAL_SHAPE(bias, O);
  INGOT_CHECK_SHAPE(y, R, O);
  CheckFloats(kName, {y, bias});
  CheckApart(kName, {y}, {x.rows, x.scales, w.rows, w.scales, bias});
}

Work MatmulFp8Forward::Cost() const {
  const int64_t once = Bytes(x.rows) + Bytes(x.scales) + Bytes(w.rows) + Bytes(w.scales) + Bytes(bias) + Bytes(y);
  return {.bytes = static_cast<double>(once),
          .flops = 2.0 * static_cast<double>(Count(y)) * static_cast<double>(x.C())};
}

void MatmulFp8Backward::Check() const {
  const int64_t O = dw.dim(0), I = dw.dim(1);
  INGOT_CHECK(!dy.columns.absent() && !x.columns.absent(), "%s reads the columns of dy and of x", kName);
  const int64_t R = x.R();
  dy.Check(kName, R, O);
  x.Check(kName, R, I);
  w.Check(kName, O, I);
  INGOT_CHECK(dx.absent() || (!dy.rows.absent() && !w.columns.absent()),
              "%s: dx needs the rows of dy and the columns of w", kName);
  INGOT_CHECK_OPTIONAL_SHAPE(dx, R, I);
  INGOT_CHECK_SHAPE(dw, O, I);
  INGOT_CHECK_OPTIONAL_SHAPE(dy_values, R, O);
  INGOT_CHECK_OPTIONAL_SHAPE(dbias, O);
  INGOT_CHECK(dbias.absent() || !dy_values.absent(), "%s: dbias needs dy_values", kName);
  CheckFloats(kName, {dx, dy_values});
  CheckF32(kName, {dw, dbias});
  CheckApart(kName, {dx, dw, dbias},
             {dy.rows, dy.columns, dy.scales, x.columns, x.scales, w.columns, w.scales, dy_values});
}

Work MatmulFp8Backward::Cost() const {
  const double product = 2.0 * static_cast<double>(Count(dw)) * static_cast<double>(x.R());
  int64_t once = Bytes(dy.columns) + Bytes(dy.scales) + Bytes(x.columns) + Bytes(x.scales);
  if (!dx.absent()) once += Bytes(dy.rows) + Bytes(w.columns) + Bytes(w.scales) + Bytes(dx);
  if (!dbias.absent()) once += Bytes(dy_values) + 2 * Bytes(dbias);
  return {.bytes = static_cast<double>(once + 2 * Bytes(dw)), .flops = dx.absent() ? product : 2 * product};
}

}  // namespace ingot
