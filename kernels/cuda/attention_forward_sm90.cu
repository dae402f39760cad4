#include "kernels/cuda/accumulator_sm90.cuh"
#include "kernels/cuda/attention_sm90.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/stages_sm90.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace ingot {
namespace {

constexpr int kWarpgroup = 128, kRows = 64;  // of queries that a warpgroup owns
constexpr int kConsumers = 2;                // warpgroups; the first warpgroup of the block loads
constexpr int kQueries = kConsumers * kRows;
constexpr int kThreads = (1 + kConsumers) * kWarpgroup;
constexpr int kKeys = 128;             // of a tile
constexpr int kScores = kKeys / 2;     // registers of a thread
constexpr int kSlab = 64;              // elements of a head in a row of the swizzle's pattern
constexpr int kStepDepth = 16;         // terms of one wgmma
constexpr int kSlabBytes = 128 * 128;  // 128 queries or keys
constexpr int kEightRows = 1024;
constexpr int kLoaderRegisters = 40, kConsumerRegisters = 232;

// 128 rows of a head, a slab of 64 columns after another.
template <int D>
struct HeadTile {
  alignas(1024) Bf16 values[128 * D];
};

// Tiles of keys and of values take turns in the stages.
template <int D>
struct Storage {
  static constexpr int kStages = D == 64 ? 8 : 5;
  HeadTile<D> q;
  HeadTile<D> stage[kStages];
  StageBarriers<kStages> barriers;
  Mbarrier q_full;
  int start[kQueries];  // the first key that each query sees
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
        first(static_cast<int>(gridDim.y - 1 - blockIdx.y) * kQueries),
        last_position(args.past + args.N - 1),
        starts(args.starts == nullptr ? nullptr : args.starts + int64_t{b} * (last_position + 1)) {
    begin = StartOf(args.past + first) / kKeys;
    end = Min(args.past + first + kQueries - 1, last_position) / kKeys + 1;
  }
  __device__ __forceinline__ int StartOf(int position) const { return starts == nullptr ? 0 : starts[position]; }
};

template <int D>
__device__ __forceinline__ void LoadHead(HeadTile<D>& tile, const TensorMap& map, Mbarrier& full, int row, int head) {
  for (int d = 0; d < D; d += kSlab) TensorLoad(tile.values + d * 128, map, full, d, row, head);
}

template <int D>
__device__ __forceinline__ void LoadTiles(Storage<D>& shared, const Args& args, const Block& block) {
  const AttentionForwardArgs<Bf16>& attention = args.attention;
  const int kv_head = block.b * attention.K + block.h / (attention.H / attention.K);
  MbarrierArriveExpect(shared.q_full, sizeof(HeadTile<D>));
  LoadHead(shared.q, args.q, shared.q_full, block.first, static_cast<int>(blockIdx.x));
  StageCursor<Storage<D>::kStages> at;
  for (int tile = block.begin; tile < block.end; ++tile) {
    LoadHead(shared.stage[at.stage], args.k, AcquireStage(shared.barriers, at, sizeof(HeadTile<D>)), tile * kKeys,
             kv_head);
    at.Next();
    LoadHead(shared.stage[at.stage], args.v, AcquireStage(shared.barriers, at, sizeof(HeadTile<D>)), tile * kKeys,
             kv_head);
    at.Next();
  }
}

// What a thread knows of its rows `row` and `row` + 8.
struct RowState {
  int position;                           // of the first one among the keys
  float max[2] = {-INFINITY, -INFINITY};  // of the scores so far, unscaled
  float sum[2] = {0, 0};                  // of this thread's probabilities so far, relative to max
};

// s = q k^T of 64 queries and a tile of keys.
template <int D>
__device__ __forceinline__ void Scores(float (&s)[kScores], const HeadTile<D>& q, int row, const HeadTile<D>& k) {
  const uint64_t a = MatrixDescriptor(q.values + row * kSlab, 16, kEightRows, Swizzle::k128);
  const uint64_t b = MatrixDescriptor(k.values, 16, kEightRows, Swizzle::k128);
  WgmmaFence();
#pragma unroll
  for (int d = 0; d < D; d += kStepDepth) {
    const int bytes = d / kSlab * kSlabBytes + d % kSlab * 2;
    WgmmaM64K16<false, false>(s, Advanced(a, bytes), Advanced(b, bytes), d > 0);
  }
  WgmmaCommit();
}

// y += p v; p rounded to bf16 is a left operand without any exchange.
template <int D>
__device__ __forceinline__ void AddValues(float (&y)[D / 2], const float (&p)[kScores], const HeadTile<D>& v) {
  const uint64_t b = MatrixDescriptor(v.values, kSlabBytes, kEightRows, Swizzle::k128);
  uint32_t a[kKeys / kStepDepth][4];
#pragma unroll
  for (int i = 0; i < kScores / 2; ++i) a[i / 4][i % 4] = PackBf16x2(p[2 * i], p[2 * i + 1]);
  WgmmaFence();
#pragma unroll
  for (int step = 0; step < kKeys / kStepDepth; ++step) {
    WgmmaM64K16<true>(y, a[step], Advanced(b, step * 2 * kEightRows), true);
  }
  WgmmaCommit();
}

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
  StoreRounded<D / 2>(args.y + int64_t{block.b} * args.N * stride + block.h * D, stride, args.N, D, 0, at,
                      [&](int i) { return y[i] * inverse[i / 2 % 2]; });
}

// A warpgroup's 64 rows. Its products wait for each other; the two warpgroups fill each other's gaps.
template <int D>
__device__ __forceinline__ void Attend(Storage<D>& shared, const AttentionForwardArgs<Bf16>& args, const Block& block) {
  const int thread = static_cast<int>(threadIdx.x) % kWarpgroup;
  const int row = (static_cast<int>(threadIdx.x) / kWarpgroup - 1) * kRows;
  const Fragment at(0, thread);
  const int lane_row = static_cast<int>(at.row);
  RowState rows{.position = args.past + block.first + row + lane_row};
  const int low = Min(args.past + block.first + row, block.last_position);
  const int high = Min(low + kRows - 1, block.last_position);
  const int* const start = shared.start + row;
  float y[D / 2] = {}, s[kScores];
  StageCursor<Storage<D>::kStages> stage;
  MbarrierWait(shared.q_full, 0);
  for (int tile = block.begin; tile < block.end; ++tile) {
    const int key = tile * kKeys;
    const bool sees = key <= high && key + kKeys > start[0];
    WaitForStage(shared.barriers, stage);
    if (sees) {
      Scores<D>(s, shared.q, row, shared.stage[stage.stage]);
      WgmmaWait<0>(s);
    }
    ReleaseStage(shared.barriers, stage.stage);
    stage.Next();
    WaitForStage(shared.barriers, stage);
    if (sees) {
      if (key + kKeys - 1 > low || key < start[kRows - 1]) Mask(s, rows, start, lane_row, at.column, key);
      Softmax<D>(s, y, rows, args.scale * kLog2E);
      AddValues<D>(y, s, shared.stage[stage.stage]);
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
    InitStages(shared.barriers, kConsumers * kWarpgroup / 32);
  }
  for (int i = static_cast<int>(threadIdx.x); i < kQueries; i += kThreads) {
    shared.start[i] = block.StartOf(Min(args.attention.past + block.first + i, block.last_position));
  }
  __syncthreads();
  if (threadIdx.x < kWarpgroup) {
    RegistersGiveBack<kLoaderRegisters>();
    if (threadIdx.x == 0) LoadTiles<D>(shared, args, block);
  } else {
    RegistersTake<kConsumerRegisters>();
    Attend<D>(shared, args.attention, block);
  }
}

// Heads of (rows, D), `stride` elements apart.
TensorMap MapOfHeads(const Bf16* x, int D, int rows, int64_t heads, int64_t stride) {
  return cuda::MakeTensorMap({.base = x,
                              .dtype = DType::kBf16,
                              .rank = 3,
                              .sizes = {D, rows, heads},
                              .strides = {1, D, stride},
                              .box = {kSlab, 128, 1},
                              .swizzle = Swizzle::k128});
}

template <int D>
void LaunchForward(const AttentionForwardArgs<Bf16>& attention, Context& ctx) {
  const int64_t heads = int64_t{attention.B} * attention.H, kv_heads = int64_t{attention.B} * attention.K;
  const int keys = attention.past + attention.N;
  const Args args{.q = MapOfHeads(attention.q, D, attention.N, heads, int64_t{attention.N} * D),
                  .k = MapOfHeads(attention.k, D, keys, kv_heads, attention.kv_stride),
                  .v = MapOfHeads(attention.v, D, keys, kv_heads, attention.kv_stride),
                  .attention = attention};
  Launch(ForwardKernel<D>,
         {.grid = dim3(static_cast<unsigned>(heads), (attention.N + kQueries - 1) / kQueries),
          .block = dim3(kThreads),
          .shared = sizeof(Storage<D>),
          .stream = ctx.stream()},
         args);
}

}  // namespace

bool TakesAttentionForwardSm90(const AttentionForwardArgs<Bf16>& args) {
  const auto aligned = [](const Bf16* x) { return reinterpret_cast<uintptr_t>(x) % 16 == 0; };
  return (args.D == 64 || args.D == 128) && aligned(args.q) && aligned(args.k) && aligned(args.v) &&
         args.kv_stride % 8 == 0 && cuda::HasSm90();
}

void RunAttentionForwardSm90(const AttentionForwardArgs<Bf16>& args, Context& ctx) {
  INGOT_CHECK(TakesAttentionForwardSm90(args), "no attention of sm_90a: ask TakesAttentionForwardSm90() first");
  args.D == 64 ? LaunchForward<64>(args, ctx) : LaunchForward<128>(args, ctx);
}

}  // namespace ingot
