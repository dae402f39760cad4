#include "kernels/gelu.h"

namespace ingot {

void GeluForward::Check() const { INGOT_CHECK_SHAPE(y, x.dim(0), x.dim(1)); }

Work GeluForward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(x) + Bytes(y)), .flops = 9.0 * static_cast<double>(Count(x))};
}

void GeluBackward::Check() const {
  const int64_t R = x.dim(0), F = x.dim(1);
  INGOT_CHECK_SHAPE(dy, R, F);
  INGOT_CHECK_SHAPE(dx, R, F);
}

Work GeluBackward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(dy) + Bytes(x) + Bytes(dx)),
          .flops = 16.0 * static_cast<double>(Count(x))};
}

}  // namespace ingot
