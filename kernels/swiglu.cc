#include "kernels/swiglu.h"

#include "kernels/checks.h"

namespace ingot {

void SwigluForward::Check() const {
  INGOT_CHECK(!y.absent() || !y8.absent(), "%s: y must be given, or y8", kName);
  const int64_t R = gate_up.dim(0), F = y.absent() ? y8.C() : y.dim(1);
  INGOT_CHECK_SHAPE(gate_up, R, 2 * F);
  INGOT_CHECK_OPTIONAL_SHAPE(y, R, F);
  y8.Check(kName, R, F);
  CheckFloats(kName, {gate_up, y});
  CheckApart(kName, {y, y8.rows, y8.columns, y8.scales}, {gate_up});
}

// Operations are counted as the loops state them, exp as 16.
Work SwigluForward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(gate_up) + Bytes(y) + Bytes(y8)),
          .flops = 10.0 * static_cast<double>(Count(gate_up))};
}

void SwigluBackward::Check() const {
  const int64_t R = dy.dim(0), F = dy.dim(1);
  INGOT_CHECK_SHAPE(dy, R, F);
  INGOT_CHECK_SHAPE(gate_up, R, 2 * F);
  INGOT_CHECK(!dgate_up.absent() || !dgate_up8.absent(), "%s: dgate_up must be given, or dgate_up8", kName);
  INGOT_CHECK_OPTIONAL_SHAPE(dgate_up, R, 2 * F);
  dgate_up8.Check(kName, R, 2 * F);
  CheckFloats(kName, {dy, gate_up, dgate_up});
  INGOT_CHECK_SAME_OR_APART(dgate_up, gate_up);
  CheckApart(kName, {dgate_up, dgate_up8.rows, dgate_up8.columns, dgate_up8.scales}, {dy});
  CheckApart(kName, {dgate_up8.rows, dgate_up8.columns, dgate_up8.scales}, {gate_up});
}

Work SwigluBackward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(dy) + Bytes(gate_up) + Bytes(dgate_up) + Bytes(dgate_up8)),
          .flops = 28.0 * static_cast<double>(Count(dy))};
}

}  // namespace ingot
