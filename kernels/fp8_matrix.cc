#include "kernels/fp8_matrix.h"

namespace ingot {
namespace {

void CheckShape(const char* op, const char* what, const Tensor& t, int64_t rows, int64_t columns) {
  INGOT_CHECK(t.absent() || HasShape(t, {rows, columns}),
              "%s: the %s of an fp8 matrix must be (%lld, %lld); they have rank %d and begin %lld, %lld", op, what,
              static_cast<long long>(rows), static_cast<long long>(columns), t.rank, static_cast<long long>(t.dims[0]),
              static_cast<long long>(t.dims[1]));
}

}  // namespace

void Fp8Matrix::Check(const char* op, int64_t R, int64_t C) const {
  INGOT_CHECK(absent() == (rows.absent() && columns.absent()),
              "%s: an fp8 matrix has scales, and rows or columns; or nothing", op);
  if (absent()) return;
  CheckShape(op, "rows", rows, R, C);
  CheckShape(op, "columns", columns, C, R);
  CheckShape(op, "scales", scales, Blocks(R), Blocks(C));
  INGOT_CHECK(dtype() == DType::kE4m3 || dtype() == DType::kE5m2, "%s: an fp8 matrix is %s, not e4m3 or e5m2", op,
              Name(dtype()));
  INGOT_CHECK(rows.absent() || columns.absent() || rows.dtype == columns.dtype,
              "%s: the rows of an fp8 matrix are %s, its columns %s", op, Name(rows.dtype), Name(columns.dtype));
  INGOT_CHECK(scales.dtype == DType::kF32, "%s: the scales of an fp8 matrix are %s, not f32", op, Name(scales.dtype));
}

}  // namespace ingot
