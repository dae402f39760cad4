#include "kernels/lm_head_cross_entropy.h"

#include "kernels/checks.h"

namespace ingot {

void LmHeadCrossEntropy::Check() const {
  INGOT_CHECK(w.absent() != w8.absent(), "%s takes w or w8, one of them", kName);
  const int64_t R = x.dim(0), C = x.dim(1), V = this->V();
  INGOT_CHECK_SHAPE(x, R, C);
  INGOT_CHECK_OPTIONAL_SHAPE(w, V, C);
  w8.Check(kName, V, C);
  INGOT_CHECK_SHAPE(targets, R);
  INGOT_CHECK_DTYPE(targets, DType::kI32);
  INGOT_CHECK_SHAPE(losses, R);
  INGOT_CHECK_OPTIONAL_SHAPE(greedy, R);
  INGOT_CHECK_DTYPE(greedy, DType::kI32);
  INGOT_CHECK(dx.absent() == dw.absent(), "dx and dw are given both or not at all");
  INGOT_CHECK(w8.absent() || (!w8.rows.absent() && (dx.absent() || !w8.columns.absent())),
              "%s reads the rows of w8 and, for dx, its columns", kName);
  INGOT_CHECK_OPTIONAL_SHAPE(dx, R, C);
  INGOT_CHECK_OPTIONAL_SHAPE(dw, V, C);
  CheckFloats(kName, {x, w, dx});
  CheckF32(kName, {losses, dw});
  CheckApart(kName, {losses, greedy, dx, dw}, {x, w, targets, w8.rows, w8.columns, w8.scales});
}

Work LmHeadCrossEntropy::Cost() const {
  const double product = 2.0 * static_cast<double>(Count(x)) * static_cast<double>(V());
  const int64_t weights = Bytes(w) + Bytes(w8.rows) + Bytes(w8.scales) + (dx.absent() ? 0 : Bytes(w8.columns));
  const int64_t once = Bytes(x) + weights + Bytes(targets) + Bytes(losses) + Bytes(greedy);
  return {.bytes = static_cast<double>(once) + static_cast<double>(Bytes(dx)) + 2.0 * static_cast<double>(Bytes(dw)),
          .flops = dx.absent() ? product : 3 * product};
}

}  // namespace ingot
