#include "kernels/attention.h"
#include "kernels/checks.h"
#include "kernels/cuda/attention_args.h"
#include "kernels/cuda/attention_sm90.h"
#include "kernels/cuda/attention_tile.cuh"

namespace ingot {
namespace {

// Memory plan: one block owns kQueries query rows of one head and walks the keys they see in tiles of kKeys: 64, or 32
// where y needs the registers.
//   registers  a warp holds kRowTiles x 16 rows: scores of one key tile, then probabilities, and y, all fp32; each
//              fragment of keys and values read from shared memory serves all its row tiles
//   shared     q once; k and v in kStages stages, filled by cp.async one tile ahead; one barrier a tile
//   traffic    q, y once; k, v once for each kQueries rows, from L2: heads of a group run side by side
constexpr int kWarps = 4;
constexpr int kThreads = kWarps * 32;
constexpr int kStages = 2;
constexpr int kRowTiles = 2;
constexpr int kQueries = kWarps * kRowTiles * 16;

// Keys of a tile: as many as leave registers for y.
template <int D>
constexpr int kKeys = D <= 80 ? 64 : 32;

template <int D>
struct Shared {
  AttentionTile<kQueries, D> q;
  AttentionTile<kKeys<D>, D> k[kStages], v[kStages];
  int start[kQueries];  // the first key that each query sees
};
static_assert(sizeof(Shared<128>) <= 112 * 1024, "two blocks on one multiprocessor of compute capability 9.0");

// What one lane knows of the rows it holds elements of: rows LaneRow() and LaneRow() + 8 of each row tile.
struct Rows {
  int position;             // of the first one among the keys
  float max[kRowTiles][2];  // of the scores so far, unscaled
  float sum[kRowTiles][2];  // of this lane's probabilities so far, relative to max
};

__device__ __forceinline__ int StartOf(const int32_t* starts, int position) {
  return starts == nullptr ? 0 : starts[position];
}

// s = q k^T for the keys of a tile; a fragment of k serves all row tiles.
template <int D, int kTile>
__device__ __forceinline__ void Scores(float (&s)[kRowTiles][kTile / 8][4], AttentionTile<kQueries, D>& q, int row,
                                       AttentionTile<kTile, D>& k) {
#pragma unroll
  for (int step = 0; step < D / 16; ++step) {
    uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) LoadLeft(a[m], q, row + m * 16, step);
#pragma unroll
    for (int n = 0; n < kTile / 16; ++n) {
      uint32_t b[4];
      LoadRightTransposed(b, k, n * 16, step);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        MmaM16N8K16(s[m][2 * n], a[m], b[0], b[1]);
        MmaM16N8K16(s[m][2 * n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

// `start`: of the warp's rows.
template <int kTile>
__device__ __forceinline__ void Mask(float (&s)[kRowTiles][kTile / 8][4], int position, const int* start,
                                     int first_key) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = m * 16 + half * 8, from = start[row + LaneRow()];
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          const int key = first_key + n * 8 + LaneColumn() + i % 2;
          if (key > position + row || key < from) s[m][n][i] = -INFINITY;
        }
      }
    }
  }
}

// Scores become probabilities relative to the largest score so far; y and the sums follow it. A row that has seen no
// key yet keeps the maximum -infinity, and 0 stands in for it.
template <int D, int kTile>
__device__ __forceinline__ void Softmax(float (&s)[kRowTiles][kTile / 8][4], float (&y)[kRowTiles][D / 8][4],
                                        Rows& rows, float scale_log2) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float max = rows.max[m][half];
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n) max = fmaxf(max, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
      max = fmaxf(max, __shfl_xor_sync(kAllLanes, max, 1));
      max = fmaxf(max, __shfl_xor_sync(kAllLanes, max, 2));
      const float shift = max == -INFINITY ? 0.0f : max * scale_log2;
      const float correction = Exp2(rows.max[m][half] * scale_log2 - shift);
      rows.max[m][half] = max;
      float sum = 0;
#pragma unroll
      for (int n = 0; n < kTile / 8; ++n) {
#pragma unroll
        for (int i = 2 * half; i < 2 * half + 2; ++i) {
          s[m][n][i] = Exp2(s[m][n][i] * scale_log2 - shift);
          sum += s[m][n][i];
        }
      }
      rows.sum[m][half] = rows.sum[m][half] * correction + sum;
#pragma unroll
      for (int n = 0; n < D / 8; ++n) {
        y[m][n][2 * half] *= correction;
        y[m][n][2 * half + 1] *= correction;
      }
    }
  }
}

// y += p v; a fragment of v serves all row tiles.
template <int D, int kTile>
__device__ __forceinline__ void AddValues(float (&y)[kRowTiles][D / 8][4], const float (&p)[kRowTiles][kTile / 8][4],
                                          AttentionTile<kTile, D>& v) {
#pragma unroll
  for (int step = 0; step < kTile / 16; ++step) {
    uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; ++m) RoundToLeft(a[m], p[m], step);
#pragma unroll
    for (int n = 0; n < D / 16; ++n) {
      uint32_t b[4];
      LoadRight(b, v, step * 16, n);
#pragma unroll
      for (int m = 0; m < kRowTiles; ++m) {
        MmaM16N8K16(y[m][2 * n], a[m], b[0], b[1]);
        MmaM16N8K16(y[m][2 * n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

template <int D>
__device__ __forceinline__ void Finish(const AttentionForwardArgs<Bf16>& args, Shared<D>& s,
                                       const float (&y)[kRowTiles][D / 8][4], const Rows& rows, int b, int h, int first,
                                       int warp_row) {
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
    const int n = first + warp_row + m * 16;  // the row tile's first query
    float inverse[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float sum = rows.sum[m][half];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      inverse[half] = 1 / sum;
      const int row = n + LaneRow() + half * 8;
      if (args.lse != nullptr && Lane() % 4 == 0 && row < args.N) {
        args.lse[(int64_t{b} * args.H + h) * args.N + row] = rows.max[m][half] * args.scale + Log(sum);
      }
    }
    const int64_t stride = int64_t{args.H} * D;
    StoreRows<kQueries, D>(y[m], inverse[0], inverse[1], s.q, warp_row + m * 16,
                           args.y + (int64_t{b} * args.N + n) * stride + h * D, stride, args.N - n);
  }
}

// Grid (B * H, query tiles); the tiles with the most keys come first: the short ones fill the end evenly.
template <int D>
__global__ void __launch_bounds__(kThreads) ForwardKernel(const AttentionForwardArgs<Bf16> args) {
  constexpr int kTile = kKeys<D>;
  Shared<D>& s = SharedStorage<Shared<D>>();
  const int b = static_cast<int>(blockIdx.x) / args.H, h = static_cast<int>(blockIdx.x) % args.H;
  const int first = static_cast<int>(gridDim.y - 1 - blockIdx.y) * kQueries;
  const int warp_row = static_cast<int>(threadIdx.x) / 32 * kRowTiles * 16;
  const int last_position = args.past + args.N - 1;
  const int32_t* const starts = args.starts == nullptr ? nullptr : args.starts + int64_t{b} * (last_position + 1);
  const int64_t kv = (int64_t{b} * args.K + h / (args.H / args.K)) * args.kv_stride;

  Rows rows;
  rows.position = args.past + first + warp_row + LaneRow();
#pragma unroll
  for (int m = 0; m < kRowTiles; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      rows.max[m][half] = -INFINITY;
      rows.sum[m][half] = 0;
    }
  }
  for (int i = static_cast<int>(threadIdx.x); i < kQueries; i += kThreads) {
    s.start[i] = StartOf(starts, Min(args.past + first + i, last_position));
  }
  // The tiles of keys that the block sees, and the last key that all and some of the warp's rows see.
  const int begin = StartOf(starts, args.past + first) / kTile;
  const int end = Min(args.past + first + kQueries - 1, last_position) / kTile + 1;
  const int warp_low = Min(args.past + first + warp_row, last_position);
  const int warp_high = Min(warp_low + kRowTiles * 16 - 1, last_position);

  const auto copy_keys = [&](int tile) {
    if (tile < end) {
      const int key = tile * kTile, valid = Min(kTile, last_position + 1 - key), stage = tile % kStages;
      CopyTile<kThreads>(s.k[stage], args.k + kv + int64_t{key} * D, D, valid);
      CopyTile<kThreads>(s.v[stage], args.v + kv + int64_t{key} * D, D, valid);
    }
    CopyAsyncCommit();
  };
  CopyTile<kThreads>(s.q, args.q + (int64_t{blockIdx.x} * args.N + first) * D, D, args.N - first);
  for (int tile = begin; tile < begin + kStages - 1; ++tile) copy_keys(tile);

  float y[kRowTiles][D / 8][4] = {};
  for (int tile = begin; tile < end; ++tile) {
    CopyAsyncWait<kStages - 2>();
    __syncthreads();  // the tile is whole, and every warp is done with the one before, whose place is filled next
    copy_keys(tile + kStages - 1);
    const int key = tile * kTile;
    if (key > warp_high || key + kTile <= s.start[warp_row]) continue;
    float scores[kRowTiles][kTile / 8][4] = {};
    Scores<D, kTile>(scores, s.q, warp_row, s.k[tile % kStages]);
    if (key + kTile - 1 > warp_low || key < s.start[warp_row + kRowTiles * 16 - 1]) {
      Mask<kTile>(scores, rows.position, s.start + warp_row, key);
    }
    Softmax<D, kTile>(scores, y, rows, args.scale * kLog2E);
    AddValues<D, kTile>(y, scores, s.v[tile % kStages]);
  }
  CopyAsyncWait<0>();
  Finish<D>(args, s, y, rows, b, h, first, warp_row);
}

template <int D>
void LaunchForward(const AttentionForwardArgs<Bf16>& args, Context& ctx) {
  Launch(ForwardKernel<D>,
         {.grid = dim3(args.B * args.H, (args.N + kQueries - 1) / kQueries),
          .block = dim3(kThreads),
          .shared = sizeof(Shared<D>),
          .stream = ctx.stream()},
         args);
}

template <typename Scalar>
AttentionForwardArgs<Scalar> ArgsOf(const AttentionForward& op) {
  const int64_t B = op.q.dim(0), H = op.q.dim(1), T = op.q.dim(2), D = op.q.dim(3);
  return {.q = op.q.data<Scalar>(),
          .k = op.k.data<Scalar>(),
          .v = op.v.data<Scalar>(),
          .starts = op.document_start.data<int32_t>(),
          .y = op.y.data<Scalar>(),
          .lse = op.lse.data<float>(),
          .B = static_cast<int>(B),
          .H = static_cast<int>(H),
          .K = static_cast<int>(op.k.dim(1)),
          .N = static_cast<int>(T),
          .D = static_cast<int>(D),
          .past = 0,
          .kv_stride = T * D,
          .scale = AttentionScale(op.scale, D)};
}

}  // namespace

void RunAttentionForward(const AttentionForwardArgs<float>& args, Context& ctx) { RunPlainAttentionForward(args, ctx); }

void RunAttentionForward(const AttentionForwardArgs<Bf16>& args, Context& ctx) {
  if (TakesAttentionForwardSm90(args)) return RunAttentionForwardSm90(args, ctx);
  switch (args.D) {
    case 64:
      return LaunchForward<64>(args, ctx);
    case 80:
      return LaunchForward<80>(args, ctx);
    case 96:
      return LaunchForward<96>(args, ctx);
    case 128:
      return LaunchForward<128>(args, ctx);
    default:
      return RunPlainAttentionForward(args, ctx);
  }
}

void AttentionForward::OnCuda(Context& ctx) const {
  CheckMemory(kName, {q, k, v, document_start, y, lse});
  DispatchFloat(q.dtype, [&]<typename Scalar>() { RunAttentionForward(ArgsOf<Scalar>(*this), ctx); });
}

}  // namespace ingot
