#pragma once
// The linear layer on 8-bit operands. Here I is the width in, O the width out, and x, w, dy are what their Fp8Matrix stands
// for: values times scales. Sums are f32.
#include "kernels/context.h"
#include "kernels/fp8_matrix.h"

namespace ingot {

//   y[r,o] = sum_i x[r,i] * w[o,i] + bias[o]
struct MatmulFp8Forward {
  static constexpr char kName[] = "matmul_fp8_forward";
  Fp8Matrix x;       // (R, I), rows
  Fp8Matrix w;       // (O, I), rows
  Tensor bias = {};  // (O) of y's type
  Tensor y;          // (R, O)  =
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
  int64_t CudaScratchBytes() const;
};

//   dx[r,i]   = sum_o dy[r,o] * w[o,i]
//   dw[o,i]  += sum_r dy[r,o] * x[r,i]
//   dbias[o] += sum_r dy_values[r,o], dy before its rounding to fp8
struct MatmulFp8Backward {
  static constexpr char kName[] = "matmul_fp8_backward";
  Fp8Matrix dy;           // (R, O), rows and columns; rows may be absent without dx
  Fp8Matrix x;            // (R, I), columns
  Fp8Matrix w;            // (O, I), columns; absent without dx
  Tensor dx = {};         // (R, I)  =
  Tensor dw;              // (O, I)  += f32
  Tensor dy_values = {};  // (R, O)  with dbias
  Tensor dbias = {};      // (O)     += f32
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
  int64_t CudaScratchBytes() const;
};

}  // namespace ingot
