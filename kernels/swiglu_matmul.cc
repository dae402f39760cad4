#include "kernels/swiglu_matmul.h"

#include "kernels/checks.h"
#include "kernels/matmul.h"
#include "kernels/swiglu.h"

namespace ingot {
namespace {

MatmulForward ProductOf(const SwigluMatmulForward& op) { return {.x = op.x, .w = op.w, .y = op.gate_up}; }
SwigluForward ActivationOf(const SwigluMatmulForward& op) { return {.gate_up = op.gate_up, .y = op.y}; }

}  // namespace

void SwigluMatmulForward::Check() const {
  ProductOf(*this).Check();
  ActivationOf(*this).Check();
  CheckFloats(kName, {x, w, gate_up, y});
  CheckApart(kName, {y}, {x, w});
}

// gate_up is written once; where it is read again depends on the kernel.
Work SwigluMatmulForward::Cost() const {
  Work work = ProductOf(*this).Cost();
  work.bytes += static_cast<double>(Bytes(y));
  work.flops += ActivationOf(*this).Cost().flops;
  return work;
}

void SwigluMatmulForward::OnCpu(Context& ctx) const {
  ProductOf(*this).OnCpu(ctx);
  ActivationOf(*this).OnCpu(ctx);
}

}  // namespace ingot
