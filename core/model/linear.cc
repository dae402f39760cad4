#include "core/model/linear.h"

#include "kernels/matmul.h"
#include "kernels/matmul_fp8.h"
#include "kernels/quantize_fp8.h"

namespace ingot {

namespace {

// What backward reads of it; the rows of an activation have lost their place to others by then.
Fp8Matrix ForBackward(const Fp8Matrix& x) { return {.columns = x.columns, .scales = x.scales}; }

}  // namespace

void Round(Context& ctx, const Operand& operand) {
  if (!operand.fp8.absent()) ctx.Run(QuantizeFp8{.x = operand.values, .y = operand.fp8});
}

void LinearForward::Run(Context& ctx) const {
  if (x.fp8.absent()) return ctx.Run(MatmulForward{.x = x.values, .w = w.values, .bias = bias, .y = y});
  ctx.Run(MatmulFp8Forward{.x = x.fp8, .w = w.fp8, .bias = bias, .y = y});
}

void LinearBackward::Run(Context& ctx) const {
  if (x.fp8.absent()) {
    return ctx.Run(MatmulBackward{.dy = dy.values, .x = x.values, .w = w.values, .dx = dx, .dw = dw, .dbias = dbias});
  }
  ctx.Run(MatmulFp8Backward{.dy = dy.fp8,
                            .x = ForBackward(x.fp8),
                            .w = ForBackward(w.fp8),
                            .dx = dx,
                            .dw = dw,
                            .dy_values = dbias.absent() ? Tensor() : dy.values,
                            .dbias = dbias});
}

}  // namespace ingot
