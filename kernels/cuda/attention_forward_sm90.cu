#include "kernels/cuda/accumulator_sm90.cuh"
#include "kernels/cuda/attention_sm90.h"
#include "kernels/cuda/attention_tile_sm90.cuh"

namespace ingot {
namespace {

using namespace attention_sm90;

constexpr int kKeys = 128;          // of a tile
constexpr int kScores = kKeys / 2;  // registers of a thread

template <int D>
using Tile = HeadTile<kKeys, D>;  // of as many queries, too

// Tiles of keys and of values take turns in the stages.
template <int D>
struct Storage {
  static constexpr int kStages = D == 64 ? 8 : 5;
  Tile<D> q;
  Tile<D> stage[kStages];
  StageBarriers<kStages> barriers;
  Mbarrier q_full;
  int start[kOwnRows];  // the first key that each query sees
};

struct Args {
  TensorMap q, k, v;
  AttentionForwardArgs<Bf16> attention;
};

// What a block works on.
struct Block {
  int b, h, first;        // batch, head, query
  int begin, end;         // tiles of keys that some of its queries see
  int last_position;      // of a query among the keys
  const int32_t* starts;  // of the sequence, or null
  __device__ __forceinline__ explicit Block(const AttentionForwardArgs<Bf16>& args)
      : b(static_cast<int>(blockIdx.x) / args.H),
        h(static_cast<int>(blockIdx.x) % args.H),
        first(static_cast<int>(gridDim.y - 1 - blockIdx.y) * kOwnRows),
        last_position(args.past + args.N - 1),
        starts(args.starts == nullptr ? nullptr : args.starts + int64_t{b} * (last_position + 1)) {
    begin = StartOf(args.past + first) / kKeys;
    end = Min(args.past + first + kOwnRows - 1, last_position) / kKeys + 1;
  }
  __device__ __forceinline__ int StartOf(int position) const { return starts == nullptr ? 0 : starts[position]; }
};

template <int D>
__device__ __forceinline__ void LoadTiles(Storage<D>& shared, const Args& args, const Block& block) {
  const AttentionForwardArgs<Bf16>& attention = args.attention;
  const int kv_head = block.b * attention.K + block.h / (attention.H / attention.K);
  MbarrierArriveExpect(shared.q_full, sizeof(Tile<D>));
  LoadHead(shared.q, args.q, shared.q_full, block.first, static_cast<int>(blockIdx.x));
  StageCursor<Storage<D>::kStages> at;
  for (int tile = block.begin; tile < block.end; ++tile) {
    LoadHead(shared.stage[at.stage], args.k, AcquireStage(shared.barriers, at, sizeof(Tile<D>)), tile * kKeys, kv_head);
    at.Next();
    LoadHead(shared.stage[at.stage], args.v, AcquireStage(shared.barriers, at, sizeof(Tile<D>)), tile * kKeys, kv_head);
    at.Next();
  }
}

// What a thread knows of its rows `row` and `row` + 8.
struct RowState {
  int position;                           // of the first one among the keys
  float max[2] = {-INFINITY, -INFINITY};  // of the scores so far, unscaled
  float sum[2] = {0, 0};                  // of this thread's probabilities so far, relative to max
};

// `start`: of the warpgroup's rows; `row` is the thread's first one.
__device__ __forceinline__ void Mask(float (&s)[kScores], const RowState& rows, const int* start, int row, int column,
                                     int first_key) {
  const int from[2] = {start[row], start[row + 8]};
#pragma unroll
  for (int i = 0; i < kScores; ++i) {
    const int half = i / 2 % 2, key = first_key + i / 4 * 8 + column + i % 2;
    if (key > rows.position + 8 * half || key < from[half]) s[i] = -INFINITY;
  }
}

// Scores become probabilities relative to the largest score so far; y and the sums follow it. A row that has seen no key
// yet keeps the maximum -infinity, and 0 stands in for it.
template <int D>
__device__ __forceinline__ void Softmax(float (&s)[kScores], float (&y)[D / 2], RowState& rows, float scale_log2) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float max = rows.max[half];
#pragma unroll
    for (int i = 2 * half; i < kScores; i += 4) max = fmaxf(max, fmaxf(s[i], s[i + 1]));
    max = fmaxf(max, __shfl_xor_sync(kAllLanes, max, 1));
    max = fmaxf(max, __shfl_xor_sync(kAllLanes, max, 2));
    const float shift = max == -INFINITY ? 0.0f : max * scale_log2;
    const float correction = Exp2(rows.max[half] * scale_log2 - shift);
    rows.max[half] = max;
    float sum = 0;
#pragma unroll
    for (int i = 2 * half; i < kScores; i += 4) {
      s[i] = Exp2(s[i] * scale_log2 - shift);
      s[i + 1] = Exp2(s[i + 1] * scale_log2 - shift);
      sum += s[i] + s[i + 1];
    }
    rows.sum[half] = rows.sum[half] * correction + sum;
#pragma unroll
    for (int i = 2 * half; i < D / 2; i += 4) {
      y[i] *= correction;
      y[i + 1] *= correction;
    }
  }
}

template <int D>
__device__ __forceinline__ void Finish(const AttentionForwardArgs<Bf16>& args, const Block& block,
                                       const float (&y)[D / 2], const RowState& rows, int first, int thread) {
  const Fragment at(first, thread);
  float inverse[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float sum = rows.sum[half];
    sum += __shfl_xor_sync(kAllLanes, sum, 1);
    sum += __shfl_xor_sync(kAllLanes, sum, 2);
    inverse[half] = 1 / sum;
    const int64_t n = at.row + 8 * half;
    if (args.lse != nullptr && at.column == 0 && n < args.N) {
      args.lse[int64_t{blockIdx.x} * args.N + n] = rows.max[half] * args.scale + Log(sum);
    }
  }
  const int64_t stride = int64_t{args.H} * D;
  StoreRounded<kStoredRegisters<D>>(args.y + int64_t{block.b} * args.N * stride + block.h * D, stride, args.N, D, 0, at,
                                    [&](int i) { return i < D / 2 ? y[i] * inverse[i / 2 % 2] : 0.0f; });
}

// A warpgroup's 64 rows. Its products wait for each other; the two warpgroups fill each other's gaps.
template <int D>
__device__ __forceinline__ void Attend(Storage<D>& shared, const AttentionForwardArgs<Bf16>& args, const Block& block) {
  const int thread = static_cast<int>(threadIdx.x) % kWarpgroup;
  const int row = (static_cast<int>(threadIdx.x) / kWarpgroup - 1) * kRowsOfWarpgroup;
  const Fragment at(0, thread);
  const int lane_row = static_cast<int>(at.row);
  RowState rows{.position = args.past + block.first + row + lane_row};
  const int low = Min(args.past + block.first + row, block.last_position);
  const int high = Min(low + kRowsOfWarpgroup - 1, block.last_position);
  const int* const start = shared.start + row;
  float y[D / 2] = {}, s[kScores];
  StageCursor<Storage<D>::kStages> stage;
  MbarrierWait(shared.q_full, 0);
  for (int tile = block.begin; tile < block.end; ++tile) {
    const int key = tile * kKeys;
    const bool sees = key <= high && key + kKeys > start[0];
    WaitForStage(shared.barriers, stage);
    if (sees) {
      WgmmaFence();
      Scores(s, shared.q, row, shared.stage[stage.stage]);
      WgmmaCommit();
      WgmmaWait<0>(s);
    }
    ReleaseStage(shared.barriers, stage.stage);
    stage.Next();
    WaitForStage(shared.barriers, stage);
    if (sees) {
      if (key + kKeys - 1 > low || key < start[kRowsOfWarpgroup - 1]) Mask(s, rows, start, lane_row, at.column, key);
      Softmax<D>(s, y, rows, args.scale * kLog2E);
      LeftOperand<kKeys> p;
      RoundToLeft(p, s);
      WgmmaFence();
      AddProduct(y, p, shared.stage[stage.stage]);
      WgmmaCommit();
      WgmmaWait<0>(y);
    }
    ReleaseStage(shared.barriers, stage.stage);
    stage.Next();
  }
  Finish<D>(args, block, y, rows, block.first + row, thread);
}

// Memory plan: one block owns 128 queries of one head and walks the keys they see in tiles of 128.
//   registers  a consuming warpgroup holds 64 rows: scores of one tile of keys, then probabilities, and y, in fp32
//   shared     q once; tiles of k and v in turn, as TMA has brought them
//   traffic    q, y once; k, v once for each 128 queries, from L2: heads of a group run side by side
// Grid (B * H, query tiles); the tiles with the most keys come first: the short ones fill the end evenly.
template <int D>
__global__ void __launch_bounds__(kThreads, 1) ForwardKernel(const __grid_constant__ Args args) {
  auto& shared = SharedStorage<Storage<D>>();
  const Block block(args.attention);
  if (threadIdx.x == 0) {
    MbarrierInit(shared.q_full, 1);
    InitStages(shared.barriers, kConsumingWarps);
  }
  for (int i = static_cast<int>(threadIdx.x); i < kOwnRows; i += kThreads) {
    shared.start[i] = block.StartOf(Min(args.attention.past + block.first + i, block.last_position));
  }
  __syncthreads();
  LoadAndConsume<kLoaderRegisters, kConsumerRegisters>([&] { LoadTiles<D>(shared, args, block); },
                                                       [&] { Attend<D>(shared, args.attention, block); });
}

template <int D>
void LaunchForward(const AttentionForwardArgs<Bf16>& attention, Context& ctx) {
  const int64_t heads = int64_t{attention.B} * attention.H, kv_heads = int64_t{attention.B} * attention.K;
  const int keys = attention.past + attention.N;
  const Args args{.q = MapOfHeads(attention.q, D, attention.N, heads, int64_t{attention.N} * D, kOwnRows),
                  .k = MapOfHeads(attention.k, D, keys, kv_heads, attention.kv_stride, kKeys),
                  .v = MapOfHeads(attention.v, D, keys, kv_heads, attention.kv_stride, kKeys),
                  .attention = attention};
  Launch(ForwardKernel<D>,
         {.grid = dim3(static_cast<unsigned>(heads), (attention.N + kOwnRows - 1) / kOwnRows),
          .block = dim3(kThreads),
          .shared = sizeof(Storage<D>),
          .stream = ctx.stream()},
         args);
}

}  // namespace

bool TakesAttentionForwardSm90(const AttentionForwardArgs<Bf16>& args) {
  return IsWidth(args.D) && IsLoadable(args.q) && IsLoadable(args.k) && IsLoadable(args.v) && args.kv_stride % 8 == 0 &&
         cuda::HasSm90();
}

void RunAttentionForwardSm90(const AttentionForwardArgs<Bf16>& args, Context& ctx) {
  INGOT_CHECK(TakesAttentionForwardSm90(args), "no attention of sm_90a: ask TakesAttentionForwardSm90() first");
  DispatchWidth(args.D, [&]<int D>() { LaunchForward<D>(args, ctx); });
}

}  // namespace ingot
