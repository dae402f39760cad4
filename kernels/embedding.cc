#include "kernels/embedding.h"

#include "kernels/checks.h"

namespace ingot {
namespace {

void CheckIds(const char* op, const Tensor& tokens, const Tensor& positions, const Tensor& position_table, int64_t R,
              int64_t C) {
  INGOT_CHECK_SHAPE(tokens, R);
  INGOT_CHECK_DTYPE(tokens, DType::kI32);
  INGOT_CHECK(position_table.absent() || !positions.absent(), "%s: a position table needs positions", op);
  INGOT_CHECK_OPTIONAL_SHAPE(positions, R);
  INGOT_CHECK_DTYPE(positions, DType::kI32);
  INGOT_CHECK_OPTIONAL_SHAPE(position_table, position_table.dims[0], C);
}

}  // namespace

void EmbeddingForward::Check() const {
  const int64_t R = y.dim(0), C = y.dim(1), V = table.dim(0);
  CheckIds(kName, tokens, positions, position_table, R, C);
  INGOT_CHECK_SHAPE(table, V, C);
  INGOT_CHECK_SHAPE(y, R, C);
  CheckFloats(kName, {table, position_table, y});
  CheckApart(kName, {y}, {tokens, table, positions, position_table});
}

Work EmbeddingForward::Cost() const {
  const double rows = static_cast<double>(Bytes(y)), ids = static_cast<double>(Bytes(tokens) + Bytes(positions));
  return {.bytes = ids + (position_table.absent() ? 2 : 3) * rows,
          .flops = position_table.absent() ? 0 : static_cast<double>(Count(y))};
}

void EmbeddingBackward::Check() const {
  const int64_t R = dy.dim(0), C = dy.dim(1), V = dtable.dim(0);
  CheckIds(kName, tokens, positions, dposition_table, R, C);
  INGOT_CHECK_SHAPE(dy, R, C);
  INGOT_CHECK_SHAPE(dtable, V, C);
  CheckFloats(kName, {dy});
  CheckF32(kName, {dtable, dposition_table});
  CheckApart(kName, {dtable, dposition_table}, {dy, tokens, positions});
}

Work EmbeddingBackward::Cost() const {
  const double ids = static_cast<double>(Bytes(tokens) + Bytes(positions)), sums = static_cast<double>(Count(dy));
  const int tables = dposition_table.absent() ? 1 : 2;
  return {.bytes = ids + static_cast<double>(Bytes(dy)) + 2 * tables * sums * sizeof(float), .flops = tables * sums};
}

}  // namespace ingot
