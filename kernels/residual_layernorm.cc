#include "kernels/residual_layernorm.h"

#include "kernels/cpu/row_blocks.h"

namespace ingot {

void ResidualLayerNormForward::Check() const {
  const int64_t R = x.dim(0), C = x.dim(1);
  INGOT_CHECK(residual.absent() == sum.absent(), "residual and sum come together");
  INGOT_CHECK_OPTIONAL_SHAPE(residual, R, C);
  INGOT_CHECK_SHAPE(w, C);
  INGOT_CHECK_SHAPE(b, C);
  INGOT_CHECK_OPTIONAL_SHAPE(sum, R, C);
  INGOT_CHECK_SHAPE(y, R, C);
  INGOT_CHECK_SHAPE(mean, R);
  INGOT_CHECK_SHAPE(rstd, R);
  INGOT_CHECK(y.ptr == nullptr || y.ptr != sum.ptr, "y may not be sum");
}

Work ResidualLayerNormForward::Cost() const {
  const double N = static_cast<double>(Count(x));
  return {.bytes = static_cast<double>(Bytes(x) + Bytes(residual) + Bytes(sum) + Bytes(y)),
          .flops = (residual.absent() ? 8 : 9) * N};
}

void ResidualLayerNormBackward::Check() const {
  const int64_t R = dy.dim(0), C = dy.dim(1);
  INGOT_CHECK_OPTIONAL_SHAPE(dsum, R, C);
  INGOT_CHECK_SHAPE(x, R, C);
  INGOT_CHECK_SHAPE(w, C);
  INGOT_CHECK_SHAPE(mean, R);
  INGOT_CHECK_SHAPE(rstd, R);
  INGOT_CHECK_SHAPE(dx, R, C);
  INGOT_CHECK_SHAPE(dw, C);
  INGOT_CHECK_SHAPE(db, C);
}

Work ResidualLayerNormBackward::Cost() const {
  return {.bytes = static_cast<double>(Bytes(dy) + Bytes(dsum) + Bytes(x) + Bytes(dx)),
          .flops = 15.0 * static_cast<double>(Count(dy))};
}

int64_t ResidualLayerNormBackward::ScratchBytes() const {
  return 2 * Context::ScratchFor<float>(RowBlocks(dy.dim(0)) * dy.dim(1));
}

}  // namespace ingot
