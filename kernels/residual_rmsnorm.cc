#include "kernels/residual_rmsnorm.h"

#include "kernels/cpu/row_blocks.h"

namespace ingot {

void ResidualRmsNormForward::Check() const {
  const int64_t R = x.dim(0), C = x.dim(1);
  INGOT_CHECK(residual.absent() == sum.absent(), "residual and sum come together");
  INGOT_CHECK_OPTIONAL_SHAPE(residual, R, C);
  INGOT_CHECK_SHAPE(w, C);
  INGOT_CHECK_OPTIONAL_SHAPE(sum, R, C);
  INGOT_CHECK_SHAPE(y, R, C);
  INGOT_CHECK_SHAPE(rstd, R);
  INGOT_CHECK(y.ptr == nullptr || y.ptr != sum.ptr, "y may not be sum");
}

Work ResidualRmsNormForward::Cost() const {
  const double N = static_cast<double>(Count(x));
  return {.bytes = static_cast<double>(Bytes(x) + Bytes(residual) + Bytes(sum) + Bytes(y)),
          .flops = (residual.absent() ? 4 : 5) * N};
}

void ResidualRmsNormBackward::Check() const {
  const int64_t R = dy.dim(0), C = dy.dim(1);
  INGOT_CHECK_OPTIONAL_SHAPE(dsum, R, C);
  INGOT_CHECK_SHAPE(x, R, C);
  INGOT_CHECK_SHAPE(w, C);
  INGOT_CHECK_SHAPE(rstd, R);
  INGOT_CHECK_SHAPE(dx, R, C);
  INGOT_CHECK_SHAPE(dw, C);
}

Work ResidualRmsNormBackward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(dy) + Bytes(dsum) + Bytes(x) + Bytes(dx)),
          .flops = 11.0 * static_cast<double>(Count(dy))};
}

int64_t ResidualRmsNormBackward::ScratchBytes() const {
  return Context::ScratchFor<float>(RowBlocks(dy.dim(0)) * dy.dim(1));
}

}  // namespace ingot
