#include "kernels/swiglu.h"

#include "kernels/checks.h"

namespace ingot {

void SwigluForward::Check() const {
  const int64_t R = y.dim(0), F = y.dim(1);
  INGOT_CHECK_SHAPE(gate_up, R, 2 * F);
  INGOT_CHECK_SHAPE(y, R, F);
  CheckFloats(kName, {gate_up, y});
  CheckApart(kName, {y}, {gate_up});
}

// Operations are counted as the loops state them, exp as 16.
Work SwigluForward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(gate_up) + Bytes(y)), .flops = 20.0 * static_cast<double>(Count(y))};
}

void SwigluBackward::Check() const {
  const int64_t R = dy.dim(0), F = dy.dim(1);
  INGOT_CHECK_SHAPE(dy, R, F);
  INGOT_CHECK_SHAPE(gate_up, R, 2 * F);
  INGOT_CHECK_SHAPE(dgate_up, R, 2 * F);
  CheckFloats(kName, {dy, gate_up, dgate_up});
  INGOT_CHECK_SAME_OR_APART(dgate_up, gate_up);
  CheckApart(kName, {dgate_up}, {dy});
}

Work SwigluBackward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(dy) + Bytes(gate_up) + Bytes(dgate_up)),
          .flops = 28.0 * static_cast<double>(Count(dy))};
}

}  // namespace ingot
