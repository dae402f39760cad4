#include "kernels/gelu_matmul.h"

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/weight_gradients.h"
#include "kernels/gelu.h"

namespace ingot {

int64_t GeluMatmulForward::CudaScratchBytes() const { return cuda::GemmWorkspaceBytes(); }

void GeluMatmulForward::OnCuda(Context& ctx) const {
  if (Count(y) == 0) return;
  char* const workspace = ctx.Scratch<char>(cuda::GemmWorkspaceBytes());
  const cuda::Gemm product = {.a = x, .b = w, .c = pre, .bias = bias, .transpose_b = true};
  cuda::Gemm fused = product;
  fused.c = y;
  fused.epilogue = cuda::GemmEpilogue::kGelu;
  fused.aux = pre;
  const auto activate = [&] { GeluForward{.x = pre, .y = y}.OnCuda(ctx); };
  if (!in_parts && cuda::FusesEpilogue(fused, activate, workspace, ctx.stream())) {
    return cuda::RunGemm(fused, workspace, ctx.stream());
  }
  cuda::RunGemm(product, workspace, ctx.stream());
  activate();
}

int64_t GeluMatmulBackward::CudaScratchBytes() const {
  return Context::ScratchFor<char>(cuda::GemmWorkspaceBytes()) + WeightGradientScratchBytes(dy, dbias);
}

void GeluMatmulBackward::OnCuda(Context& ctx) const {
  if (Count(dy) == 0) return;
  char* const workspace = ctx.Scratch<char>(cuda::GemmWorkspaceBytes());
  AddWeightGradients(ctx, dy, x, dw, dbias, workspace);
  const cuda::Gemm product = {.a = dy, .b = w, .c = dpre};
  cuda::Gemm fused = product;
  fused.epilogue = cuda::GemmEpilogue::kGeluGradient;
  fused.aux = pre;
  const auto activate = [&] { GeluBackward{.dy = dpre, .x = pre, .dx = dpre}.OnCuda(ctx); };
  if (cuda::FusesEpilogue(fused, activate, workspace, ctx.stream())) {
    return cuda::RunGemm(fused, workspace, ctx.stream());
  }
  cuda::RunGemm(product, workspace, ctx.stream());
  activate();
}

}  // namespace ingot
