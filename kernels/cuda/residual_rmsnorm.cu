#include "kernels/residual_rmsnorm.h"

#include "kernels/cuda/fp8_tile.cuh"
#include "kernels/cuda/partials.cuh"
#include "kernels/cuda/row_blocks.cuh"
#include "kernels/quantize_fp8.h"

namespace ingot {
namespace {

// weights = y of the channels that they weigh
template <int kWidth>
__device__ __forceinline__ void Normalize(const float (&values)[kWidth], float rstd, float (&weights)[kWidth]) {
  for (int i = 0; i < kWidth; ++i) weights[i] *= values[i] * rstd;
}

// Memory plan: a block owns a row and keeps it in registers; w comes from cache. Traffic: x and residual read, sum and y
// written once, 4 R C elements (2 R C without residual), and 4 R bytes. y may be null.
template <typename Scalar, int kWidth, int kPacks, int kThreads>
__global__ __launch_bounds__(kThreads) void ForwardKernel(const Scalar* x, const Scalar* residual, const Scalar* w,
                                                          Scalar* sum, Scalar* y, float* rstd, int64_t C, float eps) {
  WarpSums& shared = SharedStorage<WarpSums>();
  const int64_t row = int64_t{blockIdx.x} * C;
  float values[kPacks][kWidth] = {}, squares = 0;
  for (int p = 0; p < kPacks; ++p) {
    const int64_t c = MyChannel<kWidth>(p);
    if (c >= C) break;
    LoadSum(x, residual, sum, row + c, values[p]);
    for (int i = 0; i < kWidth; ++i) squares += values[p][i] * values[p][i];
  }
  const float scale = Rsqrt(BlockSum(squares, shared.of_warp) / static_cast<float>(C) + eps);
  if (threadIdx.x == 0) rstd[blockIdx.x] = scale;
  if (y == nullptr) return;
  for (int p = 0; p < kPacks; ++p) {
    const int64_t c = MyChannel<kWidth>(p);
    if (c >= C) break;
    float weights[kWidth];
    LoadFloats(w + c, weights);
    Normalize(values[p], scale, weights);
    StoreFloats(y + row + c, weights);
  }
}

// y as it is rounded to fp8, behind a ForwardKernel without y. Traffic: the sum read once more.
template <typename Scalar>
struct ForwardElements {
  const Scalar *sum, *w;
  const float* rstd;
  int64_t C;
  template <int kCount>
  __device__ __forceinline__ void operator()(int64_t r, int64_t c, float (&y)[kCount]) const {
    float values[kCount];
    LoadFloats(sum + r * C + c, values);
    LoadFloats(w + c, y);
    Normalize(values, rstd[r], y);
    for (int i = 0; i < kCount; ++i) y[i] = Rounded<Scalar>(y[i]);
  }
};

// Memory plan: a block owns 16 rows, one after the other in registers, and the partial sums of dw over them; w comes from
// cache. Traffic: dy, dsum and x read, dx written once, 4 R C elements, and R / 16 rows of partial sums in f32. dx may be
// dy or dsum: a thread reads its packs of a row before it writes them.
template <typename Scalar, int kWidth, int kPacks, int kThreads>
__global__ __launch_bounds__(kThreads) void BackwardKernel(const Scalar* dy, const Scalar* dsum, const Scalar* x,
                                                           const Scalar* w, const float* rstd, Scalar* dx,
                                                           float* partials, int64_t R, int64_t C) {
  WarpSums& shared = SharedStorage<WarpSums>();
  const int64_t begin = int64_t{blockIdx.x} * kRowsOfBlock, end = Min(begin + kRowsOfBlock, R);
  float dw[kPacks][kWidth] = {};
  for (int64_t r = begin; r < end; ++r) {
    float d[kPacks][kWidth] = {}, values[kPacks][kWidth] = {}, straight[kPacks][kWidth] = {}, dot = 0;
    for (int p = 0; p < kPacks; ++p) {
      const int64_t c = MyChannel<kWidth>(p);
      if (c >= C) break;
      float weights[kWidth];
      LoadFloats(w + c, weights);
      LoadFloats(dy + r * C + c, d[p]);
      LoadFloats(x + r * C + c, values[p]);
      if (dsum != nullptr) LoadFloats(dsum + r * C + c, straight[p]);
      for (int i = 0; i < kWidth; ++i) dot += d[p][i] * weights[i] * values[p][i];
    }
    const float scale = rstd[r];
    const float pull = BlockSum(dot, shared.of_warp) / static_cast<float>(C) * scale * scale;
    for (int p = 0; p < kPacks; ++p) {
      const int64_t c = MyChannel<kWidth>(p);
      if (c >= C) break;
      float weights[kWidth];
      LoadFloats(w + c, weights);
      for (int i = 0; i < kWidth; ++i) {
        dw[p][i] += d[p][i] * values[p][i] * scale;
        straight[p][i] += scale * (d[p][i] * weights[i] - values[p][i] * pull);
      }
      StoreFloats(dx + r * C + c, straight[p]);
    }
  }
  for (int p = 0; p < kPacks; ++p) {
    const int64_t c = MyChannel<kWidth>(p);
    if (c < C) StoreFloats(partials + int64_t{blockIdx.x} * C + c, dw[p]);
  }
}

}  // namespace

void ResidualRmsNormForward::OnCuda(Context& ctx) const {
  const int64_t R = x.dim(0), C = x.dim(1);
  if (Count(x) == 0) return;
  const bool packs = InPacks(x.dtype, C, {x, residual, w, sum, y});
  DispatchRowBlocks(
      kName, x.dtype, packs, C, [&]<typename Scalar, int kWidth, int kPacks, int kThreads>(int64_t threads) {
        Launch(ForwardKernel<Scalar, kWidth, kPacks, kThreads>,
               {.grid = Blocks(R), .block = Blocks(threads), .shared = sizeof(WarpSums), .stream = ctx.stream()},
               x.data<Scalar>(), residual.data<Scalar>(), w.data<Scalar>(), sum.data<Scalar>(), y.data<Scalar>(),
               rstd.data<float>(), C, eps);
      });
  if (y8.absent()) return;
  if (!y.absent()) return QuantizeFp8{.x = y, .y = y8}.OnCuda(ctx);
  const Tensor& read = sum.absent() ? x : sum;
  DispatchFloat(x.dtype, [&]<typename Scalar>() {
    LaunchFp8Tiles(ForwardElements<Scalar>{read.data<Scalar>(), w.data<Scalar>(), rstd.data<float>(), C},
                   InFp8Packs(C, {read, w}), y8, ctx.stream());
  });
}

int64_t ResidualRmsNormBackward::CudaScratchBytes() const {
  return Context::ScratchFor<float>(CeilDivide(dy.dim(0), kRowsOfBlock) * dy.dim(1));
}

void ResidualRmsNormBackward::OnCuda(Context& ctx) const {
  const int64_t R = dy.dim(0), C = dy.dim(1), blocks = CeilDivide(R, kRowsOfBlock);
  if (Count(dy) == 0) return;
  float* const partials = ctx.Scratch<float>(blocks * C);
  const bool packs = InPacks(dy.dtype, C, {dy, dsum, x, w, dx});
  DispatchRowBlocks(
      kName, dy.dtype, packs, C, [&]<typename Scalar, int kWidth, int kPacks, int kThreads>(int64_t threads) {
        Launch(BackwardKernel<Scalar, kWidth, kPacks, kThreads>,
               {.grid = Blocks(blocks), .block = Blocks(threads), .shared = sizeof(WarpSums), .stream = ctx.stream()},
               dy.data<Scalar>(), dsum.data<Scalar>(), x.data<Scalar>(), w.data<Scalar>(), rstd.data<float>(),
               dx.data<Scalar>(), partials, R, C);
      });
  AddPartials(partials, blocks, C, C, dw.data<float>(), ctx.stream());
}

}  // namespace ingot
