#include "kernels/gelu_matmul.h"

#include "kernels/checks.h"
#include "kernels/gelu.h"
#include "kernels/matmul.h"

namespace ingot {
namespace {

MatmulForward ProductOf(const GeluMatmulForward& op) { return {.x = op.x, .w = op.w, .bias = op.bias, .y = op.pre}; }
GeluForward ActivationOf(const GeluMatmulForward& op) { return {.x = op.pre, .y = op.y}; }

MatmulBackward ProductOf(const GeluMatmulBackward& op) {
  return {.dy = op.dy, .x = op.x, .w = op.w, .dx = op.dpre, .dw = op.dw, .dbias = op.dbias};
}
GeluBackward ActivationOf(const GeluMatmulBackward& op) { return {.dy = op.dpre, .x = op.pre, .dx = op.dpre}; }

}  // namespace

void GeluMatmulForward::Check() const {
  ProductOf(*this).Check();
  ActivationOf(*this).Check();
  CheckFloats(kName, {x, w, pre, y});
  CheckApart(kName, {pre, y}, {x, w, bias});
}

// pre is written once; where it is read again depends on the kernels. The same below of dpre.
Work GeluMatmulForward::Cost() const {
  Work work = ProductOf(*this).Cost();
  work.bytes += static_cast<double>(Bytes(y));
  work.flops += ActivationOf(*this).Cost().flops;
  return work;
}

void GeluMatmulForward::OnCpu(Context& ctx) const {
  ProductOf(*this).OnCpu(ctx);
  ActivationOf(*this).OnCpu(ctx);
}

void GeluMatmulBackward::Check() const {
  ProductOf(*this).Check();
  ActivationOf(*this).Check();
  CheckFloats(kName, {dy, x, w, pre, dpre});
  CheckApart(kName, {dpre, dw, dbias}, {dy, x, w, pre});
}

Work GeluMatmulBackward::Cost() const {
  Work work = ProductOf(*this).Cost();
  work.bytes += static_cast<double>(Bytes(pre));
  work.flops += ActivationOf(*this).Cost().flops;
  return work;
}

void GeluMatmulBackward::OnCpu(Context& ctx) const {
  ProductOf(*this).OnCpu(ctx);
  ActivationOf(*this).OnCpu(ctx);
}

}  // namespace ingot
