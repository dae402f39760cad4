#include "kernels/cuda/attention_backward.cuh"

#include "kernels/attention.h"
#include "kernels/checks.h"
#include "kernels/cuda/attention_sm90.h"
#include "kernels/cuda/attention_tile.cuh"

namespace ingot {
namespace {

// Memory plan: two kernels, each with one owner for every sum, so that the order of sums is fixed without atomics,
// semaphores or partial results. KeysKernel: a block owns kRows keys of one key head and walks the queries of all heads
// of its group; dk and dv stay in registers. QueriesKernel: a block owns kRows queries and walks the keys; dq stays in
// registers. S and dP are computed twice: 7 products instead of 5. The other way without atomics, partial dq tiles in
// memory, would write and read 8 D bytes a (query, 128 keys) where this computes 512 D operations more: equal time at
// 2.9 TB/s and 180 TFLOP/s, but scratch of O(T^2). A third kernel before them makes what both must know of each row.
//   registers  a warp owns 16 rows (keys or queries); S and dP of kStep columns; fp32 accumulators of 16 x D
//   shared     the owned rows once; the walked ones in kStages stages, filled by cp.async one tile ahead
//   traffic    KeysKernel: q, dy once for each kRows keys; QueriesKernel: k, v once for each kRows queries; from L2
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;
constexpr int kRows = kWarps * 16;
constexpr int kStages = 2;
constexpr int kStep = 32;  // columns whose S and dP are in registers at once

template <int D>
using Tile = AttentionTile<kRows, D>;
using Scores = float[kStep / 8][4];

// ---- what both kernels must know of each query ----

// One warp a row; rows in the order in which dy and y lie in memory. Rows behind T stand at the end of each head.
template <typename Scalar>
__global__ void RowsKernel(const Scalar* dy, const Scalar* y, const float* lse, const int32_t* starts,
                           AttentionRow* rows, int B, int H, int T, int padded_T, int D) {
  const int64_t index = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, h = static_cast<int>(index % H);
  const int t = static_cast<int>(index / H % padded_T), b = static_cast<int>(index / H / padded_T);
  if (b >= B) return;
  AttentionRow* const row = rows + (int64_t{b} * H + h) * padded_T + t;
  if (t >= T) {
    if (lane == 0) *row = {INFINITY, 0, kNoStart, 0};
    return;
  }
  const int64_t offset = ((int64_t{b} * T + t) * H + h) * D;
  float delta = 0;
  for (int d = lane; d < D; d += 32) delta += ToFloat(dy[offset + d]) * ToFloat(y[offset + d]);
  delta = WarpSum(delta);
  if (lane == 0) {
    const float log_sum = lse[(int64_t{b} * H + h) * T + t];
    *row = {log_sum * kLog2E, delta, starts == nullptr ? 0 : starts[int64_t{b} * T + t], 0};
  }
}

// ---- products both kernels share ----

// s = a b^T and dp = c d^T: 16 rows of a and c from `row` on, kStep rows of b and d from `column` on.
template <int D>
__device__ __forceinline__ void TwoScores(Scores& s, Scores& dp, Tile<D>& a, Tile<D>& c, int row, Tile<D>& b,
                                          Tile<D>& d, int column) {
#pragma unroll
  for (int step = 0; step < D / 16; ++step) {
    uint32_t left[4], right[4];
    LoadLeft(left, a, row, step);
#pragma unroll
    for (int n = 0; n < kStep / 16; ++n) {
      LoadRightTransposed(right, b, column + n * 16, step);
      MmaM16N8K16(s[2 * n], left, right[0], right[1]);
      MmaM16N8K16(s[2 * n + 1], left, right[2], right[3]);
    }
    LoadLeft(left, c, row, step);
#pragma unroll
    for (int n = 0; n < kStep / 16; ++n) {
      LoadRightTransposed(right, d, column + n * 16, step);
      MmaM16N8K16(dp[2 * n], left, right[0], right[1]);
      MmaM16N8K16(dp[2 * n + 1], left, right[2], right[3]);
    }
  }
}

// Scores and dP become P and dS, of one pair of a query and a key.
__device__ __forceinline__ void ToGradient(float& s, float& dp, bool visible, float scale_log2, float lse_log2,
                                           float delta) {
  s = Probability(s, visible, scale_log2, lse_log2);
  dp = s * (dp - delta);
}

// ---- dk, dv ----

template <int D>
struct KeysShared {
  Tile<D> k, v;
  Tile<D> q[kStages], dy[kStages];
  AttentionRow rows[kStages][kRows];
};

// One tile of queries for 16 keys from `first_key` on, whose place in the key tile is `warp_row`.
template <int D>
__device__ __forceinline__ void AddToKeys(KeysShared<D>& shared, int stage, int warp_row, int first_key,
                                          int first_query, float scale_log2, float (&dk)[D / 8][4],
                                          float (&dv)[D / 8][4]) {
  const AttentionRow* const rows = shared.rows[stage];
  for (int part = 0; part < kRows; part += kStep) {
    const int query = first_query + part;
    if (query + kStep <= first_key || rows[part].start >= first_key + 16) continue;
    Scores s = {}, dp = {};
    TwoScores<D>(s, dp, shared.k, shared.v, warp_row, shared.q[stage], shared.dy[stage], part);
    const bool all = query >= first_key + 15 && rows[part + kStep - 1].start <= first_key;
#pragma unroll
    for (int n = 0; n < kStep / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int column = n * 8 + LaneColumn() + i;
        const AttentionRow row = rows[part + column];
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const int key = first_key + LaneRow() + half * 8;
          const bool visible = all || (key <= query + column && key >= row.start);
          ToGradient(s[n][2 * half + i], dp[n][2 * half + i], visible, scale_log2, row.lse_log2, row.delta);
        }
      }
    }
    AddProduct(dv, s, shared.dy[stage], part);
    AddProduct(dk, dp, shared.q[stage], part);
  }
}

// Grid (B * K, key tiles); the first keys, which the most queries see, come first.
template <int D>
__global__ void __launch_bounds__(kThreads) KeysKernel(const AttentionBackwardArgs<Bf16> args) {
  KeysShared<D>& s = SharedStorage<KeysShared<D>>();
  const int b = static_cast<int>(blockIdx.x) / args.K, kv_head = static_cast<int>(blockIdx.x) % args.K;
  const int first = static_cast<int>(blockIdx.y) * kRows, valid = Min(kRows, args.T - first);
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * 16, group = args.H / args.K;
  const int32_t* const starts = args.starts == nullptr ? nullptr : args.starts + int64_t{b} * args.T;
  const int begin = static_cast<int>(blockIdx.y);
  const int tiles = VisibleTiles<kRows>(starts, begin, args.padded_T / kRows, first + valid - 1);
  const int64_t kv = (int64_t{blockIdx.x} * args.T + first) * D;

  const auto copy_queries = [&](int index) {
    if (index < group * tiles) {
      const int h = kv_head * group + index / tiles, query = (begin + index % tiles) * kRows, stage = index % kStages;
      const int64_t bh = int64_t{b} * args.H + h, stride = int64_t{args.H} * D;
      CopyTile<kThreads>(s.q[stage], args.q + (bh * args.T + query) * D, D, args.T - query);
      CopyTile<kThreads>(s.dy[stage], args.dy + (int64_t{b} * args.T + query) * stride + h * D, stride, args.T - query);
      const AttentionRow* const rows = args.rows + bh * args.padded_T + query;
      if (threadIdx.x < kRows) CopyAsync16(&s.rows[stage][threadIdx.x], rows + threadIdx.x, true);
    }
    CopyAsyncCommit();
  };
  CopyTile<kThreads>(s.k, args.k + kv, D, valid);
  CopyTile<kThreads>(s.v, args.v + kv, D, valid);
  for (int index = 0; index < kStages - 1; ++index) copy_queries(index);

  float dk[D / 8][4] = {}, dv[D / 8][4] = {};
  for (int index = 0; index < group * tiles; ++index) {
    CopyAsyncWait<kStages - 2>();
    __syncthreads();  // the tile is whole, and every warp is done with the one before, whose place is filled next
    copy_queries(index + kStages - 1);
    AddToKeys<D>(s, index % kStages, warp_row, first + warp_row, (begin + index % tiles) * kRows, args.scale * kLog2E,
                 dk, dv);
  }
  CopyAsyncWait<0>();
  const int64_t out = kv + int64_t{warp_row} * D;
  StoreRows(dk, args.scale, args.scale, s.k, warp_row, args.dk + out, D, valid - warp_row);
  StoreRows(dv, 1.0f, 1.0f, s.v, warp_row, args.dv + out, D, valid - warp_row);
}

// ---- dq ----

template <int D>
struct QueriesShared {
  Tile<D> q, dy;
  Tile<D> k[kStages], v[kStages];
};

// What one lane knows of rows LaneRow() and LaneRow() + 8 of its warp.
struct Queries {
  AttentionRow row[2];
  int position;             // of the first one
  int warp_low, warp_high;  // first and last query of the warp
  int some_from, all_from;  // the keys that some and all of them see
};

// One tile of keys for the warp's 16 queries.
template <int D>
__device__ __forceinline__ void AddToQueries(QueriesShared<D>& shared, int stage, int warp_row, const Queries& queries,
                                             int first_key, float scale_log2, float (&dq)[D / 8][4]) {
  for (int part = 0; part < kRows; part += kStep) {
    const int key = first_key + part;
    if (key > queries.warp_high || key + kStep <= queries.some_from) continue;
    Scores s = {}, dp = {};
    TwoScores<D>(s, dp, shared.q, shared.dy, warp_row, shared.k[stage], shared.v[stage], part);
    const bool all = key + kStep - 1 <= queries.warp_low && key >= queries.all_from;
#pragma unroll
    for (int n = 0; n < kStep / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int column = key + n * 8 + LaneColumn() + i % 2;
        const AttentionRow& row = queries.row[i / 2];
        const bool visible = all || (column <= queries.position + i / 2 * 8 && column >= row.start);
        ToGradient(s[n][i], dp[n][i], visible, scale_log2, row.lse_log2, row.delta);
      }
    }
    AddProduct(dq, dp, shared.k[stage], part);
  }
}

// Grid (B * H, query tiles); the tiles with the most keys come first.
template <int D>
__global__ void __launch_bounds__(kThreads) QueriesKernel(const AttentionBackwardArgs<Bf16> args) {
  QueriesShared<D>& s = SharedStorage<QueriesShared<D>>();
  const int b = static_cast<int>(blockIdx.x) / args.H, h = static_cast<int>(blockIdx.x) % args.H;
  const int end = static_cast<int>(gridDim.y - blockIdx.y), first = (end - 1) * kRows;
  const int valid = Min(kRows, args.T - first), warp_row = static_cast<int>(threadIdx.x) / 32 * 16;
  const int64_t kv = (int64_t{b} * args.K + h / (args.H / args.K)) * args.T * D;
  const int64_t q = (int64_t{blockIdx.x} * args.T + first) * D, stride = int64_t{args.H} * D;
  const AttentionRow* const rows = args.rows + int64_t{blockIdx.x} * args.padded_T + first;

  Queries queries = {.row = {rows[warp_row + LaneRow()], rows[warp_row + LaneRow() + 8]},
                     .position = first + warp_row + LaneRow(),
                     .warp_low = first + warp_row,
                     .warp_high = Min(first + warp_row + 15, args.T - 1),
                     .some_from = rows[warp_row].start,
                     .all_from = rows[warp_row + 15].start};
  const auto copy_keys = [&](int tile) {
    if (tile < end) {
      const int key = tile * kRows, stage = tile % kStages;
      CopyTile<kThreads>(s.k[stage], args.k + kv + int64_t{key} * D, D, args.T - key);
      CopyTile<kThreads>(s.v[stage], args.v + kv + int64_t{key} * D, D, args.T - key);
    }
    CopyAsyncCommit();
  };
  const int begin = rows[0].start / kRows;
  CopyTile<kThreads>(s.q, args.q + q, D, valid);
  CopyTile<kThreads>(s.dy, args.dy + (int64_t{b} * args.T + first) * stride + h * D, stride, valid);
  for (int tile = begin; tile < begin + kStages - 1; ++tile) copy_keys(tile);

  float dq[D / 8][4] = {};
  for (int tile = begin; tile < end; ++tile) {
    CopyAsyncWait<kStages - 2>();
    __syncthreads();  // as in KeysKernel
    copy_keys(tile + kStages - 1);
    AddToQueries<D>(s, tile % kStages, warp_row, queries, tile * kRows, args.scale * kLog2E, dq);
  }
  CopyAsyncWait<0>();
  StoreRows(dq, args.scale, args.scale, s.q, warp_row, args.dq + q + int64_t{warp_row} * D, D, valid - warp_row);
}

template <int D>
void LaunchBackward(const AttentionBackwardArgs<Bf16>& args, Context& ctx) {
  const unsigned tiles = args.padded_T / kRows;
  Launch(KeysKernel<D>,
         {.grid = dim3(args.B * args.K, tiles),
          .block = dim3(kThreads),
          .shared = sizeof(KeysShared<D>),
          .stream = ctx.stream()},
         args);
  Launch(QueriesKernel<D>,
         {.grid = dim3(args.B * args.H, tiles),
          .block = dim3(kThreads),
          .shared = sizeof(QueriesShared<D>),
          .stream = ctx.stream()},
         args);
}

void RunBackward(const AttentionBackwardArgs<float>& args, Context& ctx) { RunPlainAttentionBackward(args, ctx); }

void RunBackward(const AttentionBackwardArgs<Bf16>& args, Context& ctx) {
  if (TakesAttentionBackwardSm90(args)) return RunAttentionBackwardSm90(args, ctx);
  switch (args.D) {
    case 64:
      return LaunchBackward<64>(args, ctx);
    case 80:
      return LaunchBackward<80>(args, ctx);
    case 96:
      return LaunchBackward<96>(args, ctx);
    case 128:
      return LaunchBackward<128>(args, ctx);
    default:
      return RunPlainAttentionBackward(args, ctx);
  }
}

// To whole tiles of the kernels that will run.
int64_t PaddedT(int64_t T, int64_t tile) { return (T + tile - 1) / tile * tile; }
int64_t TileOf(const AttentionBackwardArgs<float>&) { return kRows; }
int64_t TileOf(const AttentionBackwardArgs<Bf16>& args) {
  return TakesAttentionBackwardSm90(args) ? kAttentionTileSm90 : kRows;
}

template <typename Scalar>
AttentionBackwardArgs<Scalar> ArgsOf(const AttentionBackward& op, const AttentionRow* rows) {
  const int64_t B = op.q.dim(0), H = op.q.dim(1), T = op.q.dim(2), D = op.q.dim(3);
  AttentionBackwardArgs<Scalar> args = {.dy = op.dy.data<Scalar>(),
                                        .q = op.q.data<Scalar>(),
                                        .k = op.k.data<Scalar>(),
                                        .v = op.v.data<Scalar>(),
                                        .starts = op.document_start.data<int32_t>(),
                                        .rows = rows,
                                        .dq = op.dq.data<Scalar>(),
                                        .dk = op.dk.data<Scalar>(),
                                        .dv = op.dv.data<Scalar>(),
                                        .B = static_cast<int>(B),
                                        .H = static_cast<int>(H),
                                        .K = static_cast<int>(op.k.dim(1)),
                                        .T = static_cast<int>(T),
                                        .D = static_cast<int>(D),
                                        .padded_T = 0,
                                        .scale = AttentionScale(op.scale, D)};
  args.padded_T = static_cast<int>(PaddedT(T, TileOf(args)));
  return args;
}

}  // namespace

int64_t AttentionBackward::CudaScratchBytes() const {
  return Context::ScratchFor<AttentionRow>(q.dim(0) * q.dim(1) * PaddedT(q.dim(2), kAttentionTileSm90));
}

void AttentionBackward::OnCuda(Context& ctx) const {
  CheckMemory(kName, {dy, q, k, v, document_start, y, lse, dq, dk, dv});
  AttentionRow* const rows = ctx.Scratch<AttentionRow>(q.dim(0) * q.dim(1) * PaddedT(q.dim(2), kAttentionTileSm90));
  DispatchFloat(q.dtype, [&]<typename Scalar>() {
    const AttentionBackwardArgs<Scalar> args = ArgsOf<Scalar>(*this, rows);
    const int64_t count = int64_t{args.B} * args.H * args.padded_T;
    Launch(RowsKernel<Scalar>, {.grid = dim3((count + 7) / 8), .block = dim3(256), .stream = ctx.stream()}, args.dy,
           y.data<Scalar>(), lse.data<float>(), args.starts, rows, args.B, args.H, args.T, args.padded_T, args.D);
    RunBackward(args, ctx);
  });
}

}  // namespace ingot
