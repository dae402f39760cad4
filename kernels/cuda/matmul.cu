#include "kernels/matmul.h"

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/partials.cuh"
#include "kernels/cuda/weight_gradients.h"

namespace ingot {
namespace {

constexpr int64_t kRows = 128;  // of a partial sum of dbias
constexpr int kLanes = 8;       // threads that share a column of a block

template <int kWidth>
struct ColumnSums {
  float of_lane[kLanes][32][kWidth];
};

// Memory plan: a block owns 128 rows of 32 packs of columns; lane y adds rows y, y + 8, ..., 512 bytes a warp, and the
// lanes are folded in halves through shared memory. Traffic: dy read once, R / 128 rows of partial sums in f32.
template <typename Scalar, int kWidth>
__global__ void ColumnSumsKernel(const Scalar* dy, float* partials, int64_t R, int64_t O) {
  ColumnSums<kWidth>& shared = SharedStorage<ColumnSums<kWidth>>();
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const int64_t o = (int64_t{blockIdx.y} * 32 + x) * kWidth;
  const int64_t begin = int64_t{blockIdx.x} * kRows, end = Min(begin + kRows, R);
  float sum[kWidth] = {};
  if (o < O) {
    for (int64_t r = begin + y; r < end; r += kLanes) {
      float d[kWidth];
      LoadFloats(dy + r * O + o, d);
      for (int i = 0; i < kWidth; ++i) sum[i] += d[i];
    }
  }
  for (int i = 0; i < kWidth; ++i) shared.of_lane[y][x][i] = sum[i];
  for (int half = kLanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (y >= half) continue;
    for (int i = 0; i < kWidth; ++i) shared.of_lane[y][x][i] += shared.of_lane[y + half][x][i];
  }
  if (y != 0 || o >= O) return;
  for (int i = 0; i < kWidth; ++i) sum[i] = shared.of_lane[0][x][i];
  StoreFloats(partials + int64_t{blockIdx.x} * O + o, sum);
}

}  // namespace

int64_t ColumnSumPartials(const Tensor& dy) { return CeilDivide(dy.dim(0), kRows) * dy.dim(1); }

void AddColumnSums(Context& ctx, const Tensor& dy, float* partials, float* out) {
  const int64_t R = dy.dim(0), O = dy.dim(1), blocks = CeilDivide(R, kRows);
  DispatchPacks(dy.dtype, InPacks(dy.dtype, O, {dy}), [&]<typename Scalar, int kWidth>() {
    Launch(ColumnSumsKernel<Scalar, kWidth>,
           {.grid = Blocks(blocks, CeilDivide(O, 32 * kWidth)),
            .block = Blocks(32, kLanes),
            .shared = sizeof(ColumnSums<kWidth>),
            .stream = ctx.stream()},
           dy.data<Scalar>(), partials, R, O);
  });
  AddPartials(partials, blocks, O, O, out, ctx.stream());
}

int64_t MatmulForward::CudaScratchBytes() const { return cuda::GemmWorkspaceBytes(); }

void MatmulForward::OnCuda(Context& ctx) const {
  if (Count(y) == 0) return;
  char* const workspace = ctx.Scratch<char>(cuda::GemmWorkspaceBytes());
  cuda::RunGemm({.a = x, .b = w, .c = y, .bias = bias, .transpose_b = true}, workspace, ctx.stream());
}

int64_t WeightGradientScratchBytes(const Tensor& dy, const Tensor& dbias) {
  if (dbias.absent()) return 0;
  return Context::ScratchFor<float>(dy.dim(1)) + Context::ScratchFor<float>(ColumnSumPartials(dy));
}

void AddWeightGradients(Context& ctx, const Tensor& dy, const Tensor& x, const Tensor& dw, const Tensor& dbias,
                        char* workspace) {
  const int64_t O = dy.dim(1);
  const cuda::Gemm product = {.a = dy, .b = x, .c = dw, .transpose_a = true, .beta = 1};
  if (dbias.absent()) return cuda::RunGemm(product, workspace, ctx.stream());
  float* const sums = ctx.Scratch<float>(O);
  float* const partials = ctx.Scratch<float>(ColumnSumPartials(dy));
  cuda::Gemm fused = product;
  fused.a_sums = Tensor(sums, DType::kF32, {O});
  const auto measured = [&] { AddColumnSums(ctx, dy, partials, sums); };  // into what nobody needs
  if (cuda::FusesEpilogue(fused, measured, workspace, ctx.stream())) {
    cuda::RunGemm(fused, workspace, ctx.stream());
    return AddPartials(sums, 1, O, O, dbias.data<float>(), ctx.stream());
  }
  cuda::RunGemm(product, workspace, ctx.stream());
  AddColumnSums(ctx, dy, partials, dbias.data<float>());
}

int64_t MatmulBackward::CudaScratchBytes() const {
  return Context::ScratchFor<char>(cuda::GemmWorkspaceBytes()) + WeightGradientScratchBytes(dy, dbias);
}

void MatmulBackward::OnCuda(Context& ctx) const {
  if (Count(dy) == 0) return;
  char* const workspace = ctx.Scratch<char>(cuda::GemmWorkspaceBytes());
  AddWeightGradients(ctx, dy, x, dw, dbias, workspace);
  if (!dx.absent()) cuda::RunGemm({.a = dy, .b = w, .c = dx}, workspace, ctx.stream());
}

}  // namespace ingot
