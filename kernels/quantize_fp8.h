#pragma once
// Rounding of a matrix to fp8, for the products that read it.
#include "kernels/context.h"
#include "kernels/fp8_matrix.h"

namespace ingot {

//   scales[i,j]  = Fp8Scale(max |x[r,c]| over r / 128 = i, c / 128 = j)
//   rows[r,c]    = columns[c,r] = ToFp8(x[r,c] / scales[r / 128, c / 128])
// x is read once. Ops that make such an x themselves do the same in their own pass (SwigluForward::y8 and others).
struct QuantizeFp8 {
  static constexpr char kName[] = "quantize_fp8";
  Tensor x;     // (R, C)
  Fp8Matrix y;  // (R, C)  =
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

}  // namespace ingot
