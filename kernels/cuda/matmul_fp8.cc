#include "kernels/matmul_fp8.h"

#include "kernels/cuda/fp8_operands.h"
#include "kernels/cuda/weight_gradients.h"

namespace ingot {

int64_t MatmulFp8Forward::CudaScratchBytes() const { return 0; }

void MatmulFp8Forward::OnCuda(Context& ctx) const {
  if (Count(y) == 0) return;
  cuda::RunGemmFp8({.a = cuda::ByRows(x), .b = cuda::ByRows(w), .c = y, .bias = bias}, ctx.stream());
}

int64_t MatmulFp8Backward::CudaScratchBytes() const {
  return dbias.absent() ? 0 : Context::ScratchFor<float>(ColumnSumPartials(dy_values));
}

void MatmulFp8Backward::OnCuda(Context& ctx) const {
  if (x.R() == 0 || Count(dw) == 0) return;
  cuda::RunGemmFp8({.a = cuda::ByColumns(dy), .b = cuda::ByColumns(x), .c = dw, .beta = 1}, ctx.stream());
  if (!dx.absent()) cuda::RunGemmFp8({.a = cuda::ByRows(dy), .b = cuda::ByColumns(w), .c = dx}, ctx.stream());
  if (dbias.absent()) return;
  AddColumnSums(ctx, dy_values, ctx.Scratch<float>(ColumnSumPartials(dy_values)), dbias.data<float>());
}

}  // namespace ingot
