// Values times scales are what these products are of, exactly: so they are those of kernels/matmul.h on f32 copies.
#include "kernels/matmul_fp8.h"

#include "kernels/checks.h"
#include "kernels/cpu/column_sums.h"
#include "kernels/cpu/fp8_blocks.h"
#include "kernels/matmul.h"

namespace ingot {
namespace {

Tensor Dequantized(Context& ctx, const Fp8Matrix& x) {
  const int64_t R = x.R(), C = x.C();
  float* const values = ctx.Scratch<float>(R * C);
  DequantizeRows(x, 0, R, values);
  return Tensor(values, DType::kF32, {R, C});
}

int64_t DequantizedBytes(int64_t R, int64_t C) { return Context::ScratchFor<float>(R * C); }

}  // namespace

int64_t MatmulFp8Forward::ScratchBytes() const {
  return DequantizedBytes(y.dim(0), x.C()) + DequantizedBytes(y.dim(1), x.C());
}

void MatmulFp8Forward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {x.rows, x.scales, w.rows, w.scales, bias, y});
  const Tensor in = Dequantized(ctx, x), weights = Dequantized(ctx, w);
  MatmulForward{.x = in, .w = weights, .bias = bias, .y = y}.OnCpu(ctx);
}

int64_t MatmulFp8Backward::ScratchBytes() const {
  const int64_t R = x.R(), O = dw.dim(0), I = dw.dim(1);
  return DequantizedBytes(R, O) + DequantizedBytes(R, I) + (dx.absent() ? 0 : DequantizedBytes(O, I));
}

void MatmulFp8Backward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {dy.rows, dy.columns, dy.scales, x.columns, x.scales, w.columns, w.scales});
  CheckMemory(kName, {dx, dw, dy_values, dbias});
  const Tensor dout = Dequantized(ctx, dy), in = Dequantized(ctx, x);
  const Tensor weights = dx.absent() ? Tensor() : Dequantized(ctx, w);
  MatmulBackward{.dy = dout, .x = in, .w = weights, .dx = dx, .dw = dw}.OnCpu(ctx);
  if (!dbias.absent()) AddColumnSums(dy_values, dbias);
}

}  // namespace ingot
