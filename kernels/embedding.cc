#include "kernels/embedding.h"

namespace ingot {
namespace {

// Shapes that both directions share; `rows` is y or dy.
void CheckShapes(const Tensor& rows, const Tensor& tokens, const Tensor& table, const Tensor& positions,
                 const Tensor& position_table) {
  const int64_t R = rows.dim(0), C = rows.dim(1);
  INGOT_CHECK_SHAPE(tokens, R);
  INGOT_CHECK_DTYPE(tokens, DType::kI32);
  INGOT_CHECK_SHAPE(table, table.dim(0), C);
  INGOT_CHECK(position_table.absent() || !positions.absent(), "a position table needs positions");
  INGOT_CHECK_OPTIONAL_SHAPE(positions, R);
  INGOT_CHECK_DTYPE(positions, DType::kI32);
  INGOT_CHECK_OPTIONAL_SHAPE(position_table, position_table.dim(0), C);
}

}  // namespace

void EmbeddingForward::Check() const { CheckShapes(y, tokens, table, positions, position_table); }

Work EmbeddingForward::Cost() const {
  const double tables = position_table.absent() ? 1 : 2;
  return {.bytes = (1 + tables) * static_cast<double>(Bytes(y)), .flops = (tables - 1) * static_cast<double>(Count(y))};
}

void EmbeddingBackward::Check() const { CheckShapes(dy, tokens, dtable, positions, dposition_table); }

Work EmbeddingBackward::Cost() const {
  const double tables = dposition_table.absent() ? 1 : 2;
  return {.bytes = 3 * tables * static_cast<double>(Bytes(dy)), .flops = tables * static_cast<double>(Count(dy))};
}

}  // namespace ingot
