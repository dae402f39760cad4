#include "kernels/lm_head_cross_entropy.h"

#include "kernels/checks.h"

namespace ingot {

void LmHeadCrossEntropy::Check() const {
  const int64_t R = x.dim(0), C = x.dim(1), V = w.dim(0);
  INGOT_CHECK_SHAPE(x, R, C);
  INGOT_CHECK_SHAPE(w, V, C);
  INGOT_CHECK_SHAPE(targets, R);
  INGOT_CHECK_DTYPE(targets, DType::kI32);
  INGOT_CHECK_SHAPE(losses, R);
  INGOT_CHECK_OPTIONAL_SHAPE(greedy, R);
  INGOT_CHECK_DTYPE(greedy, DType::kI32);
  INGOT_CHECK(dx.absent() == dw.absent(), "dx and dw are given both or not at all");
  INGOT_CHECK_OPTIONAL_SHAPE(dx, R, C);
  INGOT_CHECK_OPTIONAL_SHAPE(dw, V, C);
  CheckFloats(kName, {x, w, dx});
  CheckF32(kName, {losses, dw});
  CheckApart(kName, {losses, greedy, dx, dw}, {x, w, targets});
}

Work LmHeadCrossEntropy::Cost() const {
  const double product = 2.0 * static_cast<double>(Count(x)) * static_cast<double>(w.dim(0));
  const double inputs = static_cast<double>(Bytes(x) + Bytes(w) + Bytes(targets) + Bytes(losses) + Bytes(greedy));
  return {.bytes = inputs + static_cast<double>(Bytes(dx)) + 2.0 * static_cast<double>(Bytes(dw)),
          .flops = dx.absent() ? product : 3 * product};
}

}  // namespace ingot
