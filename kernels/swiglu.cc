#include "kernels/swiglu.h"

namespace ingot {

void SwigluForward::Check() const {
  const int64_t R = y.dim(0), F = y.dim(1);
  INGOT_CHECK_SHAPE(gate_up, R, 2 * F);
}

Work SwigluForward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(gate_up) + Bytes(y)), .flops = 5.0 * static_cast<double>(Count(y))};
}

void SwigluBackward::Check() const {
  const int64_t R = dy.dim(0), F = dy.dim(1);
  INGOT_CHECK_SHAPE(gate_up, R, 2 * F);
  INGOT_CHECK_SHAPE(dgate_up, R, 2 * F);
}

Work SwigluBackward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(dy) + Bytes(gate_up) + Bytes(dgate_up)),
          .flops = 11.0 * static_cast<double>(Count(dy))};
}

}  // namespace ingot
