#pragma once
// Fp8Matrix: what products of 8-bit operands read.
#include <cstdint>

#include "core/base/tensor.h"

namespace ingot {

// A matrix x (R, C) rounded to fp8 with a scale for each block of 128 x 128:
//   x[r,c] ~ rows[r,c] * scales[r / 128, c / 128]
// scales[i,j] = Fp8Scale(max |x| of the block) (core/base/fp8.h), a power of two, so that scaling rounds nothing and the
// rounding of x / scale is all that is lost. A product reads its operands along the sum, so x is stored twice.
struct Fp8Matrix {
  static constexpr int64_t kBlock = 128;
  Tensor rows = {};     // (R, C) e4m3 or e5m2; absent where no product reads it
  Tensor columns = {};  // (C, R) the same values transposed; absent where no product reads it
  Tensor scales = {};   // (ceil(R / 128), ceil(C / 128)) f32

  static int64_t Blocks(int64_t size) { return (size + kBlock - 1) / kBlock; }
  bool absent() const { return scales.absent(); }
  DType dtype() const { return rows.absent() ? columns.dtype : rows.dtype; }
  int64_t R() const { return rows.absent() ? columns.dim(1) : rows.dim(0); }
  int64_t C() const { return rows.absent() ? columns.dim(0) : rows.dim(1); }
  // A programmer's error unless absent, or of this shape, with values and f32 scales.
  void Check(const char* op, int64_t R, int64_t C) const;
};

// Calls f.operator()<Fp8>() with the type of the values.
template <typename F>
void DispatchFp8(DType dtype, F&& f) {
  if (dtype == DType::kE4m3) return f.template operator()<E4m3>();
  if (dtype == DType::kE5m2) return f.template operator()<E5m2>();
  INGOT_CHECK(false, "%s is not e4m3 or e5m2", Name(dtype));
}

inline int64_t Bytes(const Fp8Matrix& x) { return Bytes(x.rows) + Bytes(x.columns) + Bytes(x.scales); }

}  // namespace ingot
