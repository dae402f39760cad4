#include "kernels/residual_layernorm.h"

#include "kernels/cuda/fp8_tile.cuh"
#include "kernels/cuda/partials.cuh"
#include "kernels/cuda/row_blocks.cuh"
#include "kernels/quantize_fp8.h"

namespace ingot {
namespace {

// bias = y of the channels that it belongs to
template <int kWidth>
__device__ __forceinline__ void Normalize(const float (&values)[kWidth], float mean, float rstd,
                                          const float (&weights)[kWidth], float (&bias)[kWidth]) {
  for (int i = 0; i < kWidth; ++i) bias[i] += (values[i] - mean) * rstd * weights[i];
}

// Memory plan: a block owns a row and keeps it in registers: the mean first and the squares about it then, so that a row
// with a mean far from 0 keeps its digits; w and b come from cache. Traffic: x and residual read, sum and y written once,
// 4 R C elements (2 R C without residual), and 8 R bytes. y may be null.
template <typename Scalar, int kWidth, int kPacks, int kThreads>
__global__ __launch_bounds__(kThreads) void ForwardKernel(const Scalar* x, const Scalar* residual, const Scalar* w,
                                                          const Scalar* b, Scalar* sum, Scalar* y, float* means,
                                                          float* rstds, int64_t C, float eps) {
  WarpSums& shared = SharedStorage<WarpSums>();
  const int64_t row = int64_t{blockIdx.x} * C;
  float values[kPacks][kWidth] = {}, total = 0, squares = 0;
  for (int p = 0; p < kPacks; ++p) {
    const int64_t c = MyChannel<kWidth>(p);
    if (c >= C) break;
    LoadSum(x, residual, sum, row + c, values[p]);
    for (int i = 0; i < kWidth; ++i) total += values[p][i];
  }
  const float mean = BlockSum(total, shared.of_warp) / static_cast<float>(C);
  for (int p = 0; p < kPacks && MyChannel<kWidth>(p) < C; ++p) {
    for (int i = 0; i < kWidth; ++i) squares += (values[p][i] - mean) * (values[p][i] - mean);
  }
  const float rstd = Rsqrt(BlockSum(squares, shared.of_warp) / static_cast<float>(C) + eps);
  if (threadIdx.x == 0) {
    means[blockIdx.x] = mean;
    rstds[blockIdx.x] = rstd;
  }
  if (y == nullptr) return;
  for (int p = 0; p < kPacks; ++p) {
    const int64_t c = MyChannel<kWidth>(p);
    if (c >= C) break;
    float weights[kWidth], bias[kWidth];
    LoadFloats(w + c, weights);
    LoadFloats(b + c, bias);
    Normalize(values[p], mean, rstd, weights, bias);
    StoreFloats(y + row + c, bias);
  }
}

// y as it is rounded to fp8, behind a ForwardKernel without y. Traffic: the sum read once more.
template <typename Scalar>
struct ForwardElements {
  const Scalar *sum, *w, *b;
  const float *mean, *rstd;
  int64_t C;
  template <int kCount>
  __device__ __forceinline__ void operator()(int64_t r, int64_t c, float (&y)[kCount]) const {
    float values[kCount], weights[kCount];
    LoadFloats(sum + r * C + c, values);
    LoadFloats(w + c, weights);
    LoadFloats(b + c, y);
    Normalize(values, mean[r], rstd[r], weights, y);
    for (int i = 0; i < kCount; ++i) y[i] = Rounded<Scalar>(y[i]);
  }
};

// Memory plan: a block owns 16 rows, one after the other in registers, and the partial sums of dw and db over them; w
// comes from cache. Traffic: dy, dsum and x read, dx written once, 4 R C elements, and R / 8 rows of partial sums in f32.
// dx may be dy or dsum: a thread reads its packs of a row before it writes them.
template <typename Scalar, int kWidth, int kPacks, int kThreads>
__global__ __launch_bounds__(kThreads) void BackwardKernel(const Scalar* dy, const Scalar* dsum, const Scalar* x,
                                                           const Scalar* w, const float* means, const float* rstds,
                                                           Scalar* dx, float* partials, int64_t R, int64_t C) {
  WarpSums& shared = SharedStorage<WarpSums>();
  const int64_t begin = int64_t{blockIdx.x} * kRowsOfBlock, end = Min(begin + kRowsOfBlock, R);
  float dw[kPacks][kWidth] = {}, db[kPacks][kWidth] = {};
  for (int64_t r = begin; r < end; ++r) {
    const float mean = means[r], rstd = rstds[r];
    float d[kPacks][kWidth] = {}, n[kPacks][kWidth] = {}, straight[kPacks][kWidth] = {}, g_sum = 0, gn_sum = 0;
    for (int p = 0; p < kPacks; ++p) {
      const int64_t c = MyChannel<kWidth>(p);
      if (c >= C) break;
      float weights[kWidth];
      LoadFloats(w + c, weights);
      LoadFloats(dy + r * C + c, d[p]);
      LoadFloats(x + r * C + c, n[p]);
      if (dsum != nullptr) LoadFloats(dsum + r * C + c, straight[p]);
      for (int i = 0; i < kWidth; ++i) {
        n[p][i] = (n[p][i] - mean) * rstd;
        g_sum += d[p][i] * weights[i];
        gn_sum += d[p][i] * weights[i] * n[p][i];
      }
    }
    const float g_mean = BlockSum(g_sum, shared.of_warp) / static_cast<float>(C);
    const float gn_mean = BlockSum(gn_sum, shared.of_warp) / static_cast<float>(C);
    for (int p = 0; p < kPacks; ++p) {
      const int64_t c = MyChannel<kWidth>(p);
      if (c >= C) break;
      float weights[kWidth];
      LoadFloats(w + c, weights);
      for (int i = 0; i < kWidth; ++i) {
        dw[p][i] += d[p][i] * n[p][i];
        db[p][i] += d[p][i];
        straight[p][i] += rstd * (d[p][i] * weights[i] - g_mean - n[p][i] * gn_mean);
      }
      StoreFloats(dx + r * C + c, straight[p]);
    }
  }
  float* const dw_of_block = partials + int64_t{blockIdx.x} * 2 * C;
  for (int p = 0; p < kPacks; ++p) {
    const int64_t c = MyChannel<kWidth>(p);
    if (c >= C) break;
    StoreFloats(dw_of_block + c, dw[p]);
    StoreFloats(dw_of_block + C + c, db[p]);
  }
}

}  // namespace

void ResidualLayerNormForward::OnCuda(Context& ctx) const {
  const int64_t R = x.dim(0), C = x.dim(1);
  if (Count(x) == 0) return;
  const bool packs = InPacks(x.dtype, C, {x, residual, w, b, sum, y});
  DispatchRowBlocks(
      kName, x.dtype, packs, C, [&]<typename Scalar, int kWidth, int kPacks, int kThreads>(int64_t threads) {
        Launch(ForwardKernel<Scalar, kWidth, kPacks, kThreads>,
               {.grid = Blocks(R), .block = Blocks(threads), .shared = sizeof(WarpSums), .stream = ctx.stream()},
               x.data<Scalar>(), residual.data<Scalar>(), w.data<Scalar>(), b.data<Scalar>(), sum.data<Scalar>(),
               y.data<Scalar>(), mean.data<float>(), rstd.data<float>(), C, eps);
      });
  if (y8.absent()) return;
  if (!y.absent()) return QuantizeFp8{.x = y, .y = y8}.OnCuda(ctx);
  const Tensor& read = sum.absent() ? x : sum;
  DispatchFloat(x.dtype, [&]<typename Scalar>() {
    LaunchFp8Tiles(ForwardElements<Scalar>{read.data<Scalar>(), w.data<Scalar>(), b.data<Scalar>(), mean.data<float>(),
                                           rstd.data<float>(), C},
                   InFp8Packs(C, {read, w, b}), y8, ctx.stream());
  });
}

int64_t ResidualLayerNormBackward::CudaScratchBytes() const {
  return Context::ScratchFor<float>(CeilDivide(dy.dim(0), kRowsOfBlock) * 2 * dy.dim(1));
}

void ResidualLayerNormBackward::OnCuda(Context& ctx) const {
  const int64_t R = dy.dim(0), C = dy.dim(1), blocks = CeilDivide(R, kRowsOfBlock);
  if (Count(dy) == 0) return;
  float* const partials = ctx.Scratch<float>(blocks * 2 * C);  // of dw, then of db, a block after the other
  const bool packs = InPacks(dy.dtype, C, {dy, dsum, x, w, dx});
  DispatchRowBlocks(
      kName, dy.dtype, packs, C, [&]<typename Scalar, int kWidth, int kPacks, int kThreads>(int64_t threads) {
        Launch(BackwardKernel<Scalar, kWidth, kPacks, kThreads>,
               {.grid = Blocks(blocks), .block = Blocks(threads), .shared = sizeof(WarpSums), .stream = ctx.stream()},
               dy.data<Scalar>(), dsum.data<Scalar>(), x.data<Scalar>(), w.data<Scalar>(), mean.data<float>(),
               rstd.data<float>(), dx.data<Scalar>(), partials, R, C);
      });
  AddPartials(partials, blocks, 2 * C, C, dw.data<float>(), ctx.stream());
  AddPartials(partials + C, blocks, 2 * C, C, db.data<float>(), ctx.stream());
}

}  // namespace ingot
