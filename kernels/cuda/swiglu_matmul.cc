#include "kernels/swiglu_matmul.h"

#include "kernels/cuda/swiglu_plan.h"
#include "kernels/swiglu.h"

namespace ingot {

int64_t SwigluMatmulForward::CudaScratchBytes() const { return cuda::GemmWorkspaceBytes(); }

void SwigluMatmulForward::OnCuda(Context& ctx) const {
  if (Count(y) == 0) return;
  char* const workspace = ctx.Scratch<char>(cuda::GemmWorkspaceBytes());
  const auto parts = [&] {
    cuda::RunGemm({.a = x, .b = w, .c = gate_up, .transpose_b = true}, workspace, ctx.stream());
    SwigluForward{.gate_up = gate_up, .y = y}.OnCuda(ctx);
  };
  const cuda::SwigluGemm fused = {.x = x, .w = w, .gate_up = gate_up, .y = y};
  cuda::FusesSwiglu(fused, parts, ctx.stream()) ? cuda::RunSwigluGemmSm90(fused, ctx.stream()) : parts();
}

}  // namespace ingot
