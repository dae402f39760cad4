#include "kernels/cuda/attention_args.h"
#include "kernels/cuda/device.cuh"

namespace ingot {
namespace {

// Memory plan: fp32 arithmetic for any width up to kWidth. A block owns kTile rows (queries, or keys for dk and dv) of one
// head and walks the others in tiles of kTile. For scores a lane is a walked row; for sums over walked rows it is a column.
//   registers  a warp owns kRows rows: per row the softmax so far, and kWidth / 32 columns a lane of each sum
//   shared     owned and walked tiles as floats, rows one element longer than kWidth, so that lanes that read one column
//              of 32 rows use 32 banks; the weights of a warp's rows, which all its lanes read
//   traffic    as in the tensor-core kernels, with tiles of 32 rows
// Every sum has one owner and walks in order, as there.
constexpr int kTile = 32;
constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;
constexpr int kRows = kTile / kWarps;

template <int kWidth>
struct Tile {
  float values[kTile][kWidth + 1];
};

template <int kWidth>
using Sums = float[kRows][kWidth / 32];

using Weights = float[kWarps][kRows][32];

__device__ __forceinline__ int LaneId() { return static_cast<int>(threadIdx.x) % 32; }
__device__ __forceinline__ int WarpId() { return static_cast<int>(threadIdx.x) / 32; }
__device__ __forceinline__ int StartOf(const int32_t* starts, int position) {
  return starts == nullptr ? 0 : starts[position];
}

// Rows [0, valid) of D elements, `stride` apart; all other elements become 0.
template <int kWidth, typename Scalar>
__device__ __forceinline__ void Fill(Tile<kWidth>& tile, const Scalar* rows, int64_t stride, int valid, int D) {
  for (int r = WarpId(); r < kTile; r += kWarps) {
    for (int d = LaneId(); d < kWidth; d += 32) {
      tile.values[r][d] = r < valid && d < D ? ToFloat(rows[r * stride + d]) : 0.0f;
    }
  }
}

// scores[i] = own row i of the warp . walked row of the lane.
template <int kWidth>
__device__ __forceinline__ void Products(float (&scores)[kRows], const Tile<kWidth>& own, const Tile<kWidth>& walked,
                                         int D) {
  for (int i = 0; i < kRows; ++i) scores[i] = 0;
  for (int d = 0; d < D; ++d) {
    const float w = walked.values[LaneId()][d];
#pragma unroll
    for (int i = 0; i < kRows; ++i) scores[i] += own.values[WarpId() * kRows + i][d] * w;
  }
}

// sums[i] += sum over walked rows r of weight[i] of lane r * row r.
template <int kWidth>
__device__ __forceinline__ void AddWeighted(Sums<kWidth>& sums, const float (&weight)[kRows], Weights& weights,
                                            const Tile<kWidth>& walked) {
  float(&mine)[kRows][32] = weights[WarpId()];
  for (int i = 0; i < kRows; ++i) mine[i][LaneId()] = weight[i];
  __syncwarp();
  for (int r = 0; r < 32; ++r) {
#pragma unroll
    for (int j = 0; j < kWidth / 32; ++j) {
      const float x = walked.values[r][LaneId() + 32 * j];
#pragma unroll
      for (int i = 0; i < kRows; ++i) sums[i][j] += mine[i][r] * x;
    }
  }
  __syncwarp();
}

template <int kWidth, typename Scalar>
__device__ __forceinline__ void StoreRow(Scalar* row, const float (&sums)[kWidth / 32], float factor, int D) {
#pragma unroll
  for (int j = 0; j < kWidth / 32; ++j) {
    const int d = LaneId() + 32 * j;
    if (d < D) row[d] = FromFloat<Scalar>(sums[j] * factor);
  }
}

// ---- forward ----

template <int kWidth>
struct ForwardShared {
  Tile<kWidth> q, k, v;
  Weights weights;
};

// Grid (B * H, query tiles).
template <typename Scalar, int kWidth>
__global__ void __launch_bounds__(kThreads) ForwardKernel(const AttentionForwardArgs<Scalar> args) {
  auto& s = SharedStorage<ForwardShared<kWidth>>();
  const int b = static_cast<int>(blockIdx.x) / args.H, h = static_cast<int>(blockIdx.x) % args.H, D = args.D;
  const int first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * kTile, S = args.past + args.N;
  const int valid = Min(kTile, args.N - first), position = args.past + first + WarpId() * kRows;
  const int32_t* const starts = args.starts == nullptr ? nullptr : args.starts + int64_t{b} * S;
  const int64_t kv = (int64_t{b} * args.K + h / (args.H / args.K)) * args.kv_stride;
  Fill(s.q, args.q + (int64_t{blockIdx.x} * args.N + first) * D, D, valid, D);

  Sums<kWidth> y = {};
  float max[kRows], sum[kRows];
  int from[kRows];
  for (int i = 0; i < kRows; ++i) {
    max[i] = -INFINITY;
    sum[i] = 0;
    from[i] = StartOf(starts, Min(position + i, S - 1));
  }
  const int last = args.past + first + valid - 1;
  for (int key = StartOf(starts, args.past + first) / kTile * kTile; key <= last; key += kTile) {
    __syncthreads();
    Fill(s.k, args.k + kv + int64_t{key} * D, D, S - key, D);
    Fill(s.v, args.v + kv + int64_t{key} * D, D, S - key, D);
    __syncthreads();
    float p[kRows];
    Products(p, s.q, s.k, D);
    const int mine = key + LaneId();
#pragma unroll
    for (int i = 0; i < kRows; ++i) {
      const float score = mine <= position + i && mine >= from[i] ? p[i] * args.scale : -INFINITY;
      const float new_max = fmaxf(max[i], WarpMax(score)), shift = new_max == -INFINITY ? 0.0f : new_max;
      const float correction = Exp(max[i] - shift);
      max[i] = new_max;
      p[i] = Exp(score - shift);
      sum[i] = sum[i] * correction + WarpSum(p[i]);
#pragma unroll
      for (int j = 0; j < kWidth / 32; ++j) y[i][j] *= correction;
    }
    AddWeighted(y, p, s.weights, s.v);
  }
  for (int i = 0; i < kRows; ++i) {
    const int n = first + WarpId() * kRows + i;
    if (n >= args.N) break;
    StoreRow<kWidth>(args.y + ((int64_t{b} * args.N + n) * args.H + h) * D, y[i], 1 / sum[i], D);
    if (args.lse != nullptr && LaneId() == 0) args.lse[int64_t{blockIdx.x} * args.N + n] = max[i] + Log(sum[i]);
  }
}

// ---- backward ----

template <int kWidth>
struct BackwardShared {
  Tile<kWidth> q, dy, k, v;
  Weights weights;
  AttentionRow rows[kTile];
};

// Scores and dP become P and dS.
__device__ __forceinline__ void ToGradient(float& s, float& dp, bool visible, float scale, const AttentionRow& row) {
  s = visible ? Exp2(s * scale * kLog2E - row.lse_log2) : 0.0f;
  dp = s * (dp - row.delta);
}

template <int kWidth, typename Scalar>
__device__ __forceinline__ void FillQueries(BackwardShared<kWidth>& s, const AttentionBackwardArgs<Scalar>& args, int b,
                                            int h, int first) {
  const int64_t bh = int64_t{b} * args.H + h, stride = int64_t{args.H} * args.D;
  Fill(s.q, args.q + (bh * args.T + first) * args.D, args.D, args.T - first, args.D);
  Fill(s.dy, args.dy + (int64_t{b} * args.T + first) * stride + h * args.D, stride, args.T - first, args.D);
  if (threadIdx.x < kTile) s.rows[threadIdx.x] = args.rows[bh * args.padded_T + first + threadIdx.x];
}

template <int kWidth, typename Scalar>
__device__ __forceinline__ void FillKeys(BackwardShared<kWidth>& s, const AttentionBackwardArgs<Scalar>& args,
                                         int64_t kv_head, int first) {
  const int64_t offset = (kv_head * args.T + first) * args.D;
  Fill(s.k, args.k + offset, args.D, args.T - first, args.D);
  Fill(s.v, args.v + offset, args.D, args.T - first, args.D);
}

// dk, dv. Grid (B * K, key tiles).
template <typename Scalar, int kWidth>
__global__ void __launch_bounds__(kThreads) KeysKernel(const AttentionBackwardArgs<Scalar> args) {
  auto& s = SharedStorage<BackwardShared<kWidth>>();
  const int b = static_cast<int>(blockIdx.x) / args.K, group = args.H / args.K, D = args.D;
  const int first = static_cast<int>(blockIdx.y) * kTile, last = Min(first + kTile, args.T) - 1;
  const int key = first + WarpId() * kRows;
  FillKeys(s, args, blockIdx.x, first);
  Sums<kWidth> dk = {}, dv = {};
  for (int i = 0; i < group; ++i) {
    const int h = static_cast<int>(blockIdx.x) % args.K * group + i;
    for (int query = first; query < args.T; query += kTile) {
      __syncthreads();
      FillQueries(s, args, b, h, query);
      __syncthreads();
      if (s.rows[0].start > last) break;  // and so are all later ones: starts do not fall
      float p[kRows], ds[kRows];
      Products(p, s.k, s.q, D);
      Products(ds, s.v, s.dy, D);
      const AttentionRow row = s.rows[LaneId()];
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        const bool visible = key + r <= query + LaneId() && key + r >= row.start;
        ToGradient(p[r], ds[r], visible, args.scale, row);
      }
      AddWeighted(dv, p, s.weights, s.dy);
      AddWeighted(dk, ds, s.weights, s.q);
    }
  }
  for (int r = 0; r < kRows && key + r < args.T; ++r) {
    const int64_t offset = (int64_t{blockIdx.x} * args.T + key + r) * D;
    StoreRow<kWidth>(args.dk + offset, dk[r], args.scale, D);
    StoreRow<kWidth>(args.dv + offset, dv[r], 1.0f, D);
  }
}

// dq. Grid (B * H, query tiles).
template <typename Scalar, int kWidth>
__global__ void __launch_bounds__(kThreads) QueriesKernel(const AttentionBackwardArgs<Scalar> args) {
  auto& s = SharedStorage<BackwardShared<kWidth>>();
  const int b = static_cast<int>(blockIdx.x) / args.H, h = static_cast<int>(blockIdx.x) % args.H, D = args.D;
  const int first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * kTile, query = first + WarpId() * kRows;
  FillQueries(s, args, b, h, first);
  __syncthreads();
  Sums<kWidth> dq = {};
  for (int key = s.rows[0].start / kTile * kTile; key < Min(first + kTile, args.T); key += kTile) {
    __syncthreads();
    FillKeys(s, args, int64_t{b} * args.K + h / (args.H / args.K), key);
    __syncthreads();
    float p[kRows], ds[kRows];
    Products(p, s.q, s.k, D);
    Products(ds, s.dy, s.v, D);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const AttentionRow row = s.rows[WarpId() * kRows + r];
      const int mine = key + LaneId();
      ToGradient(p[r], ds[r], mine <= query + r && mine >= row.start, args.scale, row);
    }
    AddWeighted(dq, ds, s.weights, s.k);
  }
  for (int r = 0; r < kRows && query + r < args.T; ++r) {
    StoreRow<kWidth>(args.dq + (int64_t{blockIdx.x} * args.T + query + r) * D, dq[r], args.scale, D);
  }
}

template <int kWidth, typename Scalar>
void LaunchForward(const AttentionForwardArgs<Scalar>& args, Context& ctx) {
  Launch(ForwardKernel<Scalar, kWidth>,
         {.grid = dim3(args.B * args.H, (args.N + kTile - 1) / kTile),
          .block = dim3(kThreads),
          .shared = sizeof(ForwardShared<kWidth>),
          .stream = ctx.stream()},
         args);
}

template <int kWidth, typename Scalar>
void LaunchBackward(const AttentionBackwardArgs<Scalar>& args, Context& ctx) {
  const unsigned tiles = (args.T + kTile - 1) / kTile;
  LaunchConfig config = {.grid = dim3(args.B * args.K, tiles),
                         .block = dim3(kThreads),
                         .shared = sizeof(BackwardShared<kWidth>),
                         .stream = ctx.stream()};
  Launch(KeysKernel<Scalar, kWidth>, config, args);
  config.grid = dim3(args.B * args.H, tiles);
  Launch(QueriesKernel<Scalar, kWidth>, config, args);
}

}  // namespace

template <typename Scalar>
void RunPlainAttentionForward(const AttentionForwardArgs<Scalar>& args, Context& ctx) {
  INGOT_CHECK(args.D <= kMaxPlainWidth, "heads of width %d, the limit is %d", args.D, kMaxPlainWidth);
  if (args.D <= 64) return LaunchForward<64>(args, ctx);
  if (args.D <= 128) return LaunchForward<128>(args, ctx);
  LaunchForward<256>(args, ctx);
}

template <typename Scalar>
void RunPlainAttentionBackward(const AttentionBackwardArgs<Scalar>& args, Context& ctx) {
  INGOT_CHECK(args.D <= kMaxPlainWidth, "heads of width %d, the limit is %d", args.D, kMaxPlainWidth);
  if (args.D <= 64) return LaunchBackward<64>(args, ctx);
  if (args.D <= 128) return LaunchBackward<128>(args, ctx);
  LaunchBackward<256>(args, ctx);
}

template void RunPlainAttentionForward(const AttentionForwardArgs<float>&, Context&);
template void RunPlainAttentionForward(const AttentionForwardArgs<Bf16>&, Context&);
template void RunPlainAttentionBackward(const AttentionBackwardArgs<float>&, Context&);
template void RunPlainAttentionBackward(const AttentionBackwardArgs<Bf16>&, Context&);

}  // namespace ingot
