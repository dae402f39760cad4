#include "kernels/matmul.h"

#include "kernels/checks.h"

namespace ingot {

void MatmulForward::Check() const {
  const int64_t R = x.dim(0), I = x.dim(1), O = w.dim(0);
  INGOT_CHECK_SHAPE(x, R, I);
  INGOT_CHECK_SHAPE(w, O, I);
  INGOT_CHECK_OPTIONAL_SHAPE(bias, O);
  INGOT_CHECK_SHAPE(y, R, O);
  CheckFloats(kName, {x, w});
  CheckFloats(kName, {y, bias});
  INGOT_CHECK(y.dtype == DType::kF32 || y.dtype == x.dtype, "%s: y is %s, x is %s", kName, Name(y.dtype),
              Name(x.dtype));
  CheckApart(kName, {y}, {x, w, bias});
}

Work MatmulForward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(x) + Bytes(w) + Bytes(bias) + Bytes(y)),
          .flops = 2.0 * static_cast<double>(Count(x)) * static_cast<double>(w.dim(0))};
}

void MatmulBackward::Check() const {
  const int64_t R = dy.dim(0), O = dy.dim(1), I = x.dim(1);
  INGOT_CHECK_SHAPE(dy, R, O);
  INGOT_CHECK_SHAPE(x, R, I);
  INGOT_CHECK_SHAPE(w, O, I);
  INGOT_CHECK_OPTIONAL_SHAPE(dx, R, I);
  INGOT_CHECK_SHAPE(dw, O, I);
  INGOT_CHECK_OPTIONAL_SHAPE(dbias, O);
  CheckFloats(kName, {dy, x, w, dx});
  CheckF32(kName, {dw, dbias});
  CheckApart(kName, {dx, dw, dbias}, {dy, x, w});
}

Work MatmulBackward::Cost() const {
  const double product = 2.0 * static_cast<double>(Count(dy)) * static_cast<double>(x.dim(1));
  const double once = static_cast<double>(Bytes(dy) + Bytes(x) + Bytes(w) + Bytes(dx));
  return {.bytes = once + 2.0 * static_cast<double>(Bytes(dw) + Bytes(dbias)),
          .flops = dx.absent() ? product : 2 * product};
}

}  // namespace ingot
