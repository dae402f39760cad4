#include "kernels/cuda/accumulator_sm90.cuh"
#include "kernels/cuda/attention_backward.cuh"
#include "kernels/cuda/attention_sm90.h"
#include "kernels/cuda/attention_tile_sm90.cuh"

namespace ingot {
namespace {

using namespace attention_sm90;

// Memory plan: as attention_backward.cu, two kernels, each with one owner for every sum; no atomics, no partial results.
//   registers  a warpgroup owns 64 rows (keys or queries): S and dP of a walked tile, the sums, all fp32
//   shared     the owned rows once; the walked ones in stages, as TMA has brought them
//   traffic    KeysKernel: q, dy once for each 128 keys; QueriesKernel: k, v once for each 128 queries; from L2
static_assert(kOwnRows == kAttentionTileSm90);

constexpr int kStages = 4;
constexpr int kWalkedQueries = 64;
// Keys of a tile: as many as leave registers for dq.
template <int D>
constexpr int kWalkedKeys = D == 64 ? 128 : 64;

struct Args {
  TensorMap q, k, v, dy;
  AttentionBackwardArgs<Bf16> attention;
};

// ---- dk, dv ----

template <int D>
struct KeysStorage {
  struct Stage {
    HeadTile<kWalkedQueries, D> q, dy;
    AttentionRow rows[kWalkedQueries];
  };
  static constexpr uint32_t kStageBytes =
      2 * sizeof(HeadTile<kWalkedQueries, D>) + kWalkedQueries * sizeof(AttentionRow);
  HeadTile<kOwnRows, D> k, v;
  Stage stage[kStages];
  StageBarriers<kStages> barriers;
  Mbarrier own_full;
};

// What a block of KeysKernel works on.
struct KeysBlock {
  int b, kv_head, first, group;
  int begin, tiles;  // of queries, in each head of the group, that see some of its keys
  __device__ __forceinline__ explicit KeysBlock(const AttentionBackwardArgs<Bf16>& args)
      : b(static_cast<int>(blockIdx.x) / args.K),
        kv_head(static_cast<int>(blockIdx.x) % args.K),
        first(static_cast<int>(blockIdx.y) * kOwnRows),
        group(args.H / args.K),
        begin(first / kWalkedQueries) {
    const int32_t* const starts = args.starts == nullptr ? nullptr : args.starts + int64_t{b} * args.T;
    const int end = (args.T + kWalkedQueries - 1) / kWalkedQueries;
    tiles = VisibleTiles<kWalkedQueries>(starts, begin, end, Min(first + kOwnRows, args.T) - 1);
  }
};

template <int D>
__device__ __forceinline__ void LoadQueries(KeysStorage<D>& shared, const Args& args, const KeysBlock& block) {
  const AttentionBackwardArgs<Bf16>& attention = args.attention;
  MbarrierArriveExpect(shared.own_full, 2 * sizeof(HeadTile<kOwnRows, D>));
  LoadHead(shared.k, args.k, shared.own_full, block.first, static_cast<int>(blockIdx.x));
  LoadHead(shared.v, args.v, shared.own_full, block.first, static_cast<int>(blockIdx.x));
  StageCursor<kStages> at;
  for (int index = 0; index < block.group * block.tiles; ++index) {
    const int h = block.kv_head * block.group + index / block.tiles, bh = block.b * attention.H + h;
    const int query = (block.begin + index % block.tiles) * kWalkedQueries;
    auto& stage = shared.stage[at.stage];
    Mbarrier& full = AcquireStage(shared.barriers, at, KeysStorage<D>::kStageBytes);
    LoadHead(stage.q, args.q, full, query, bh);
    LoadHead(stage.dy, args.dy, full, query, h, block.b);
    BulkLoad(stage.rows, attention.rows + int64_t{bh} * attention.padded_T + query, sizeof stage.rows, full);
    at.Next();
  }
}

// Scores of 64 keys from first_key on and a tile of queries become probabilities.
__device__ __forceinline__ void KeysProbabilities(float (&s)[kWalkedQueries / 2], const AttentionRow* rows,
                                                  int first_key, int query, float scale_log2) {
  const Fragment at(first_key, static_cast<int>(threadIdx.x) % kWarpgroup);
  const int key = static_cast<int>(at.row);
  const bool all = query >= first_key + kRowsOfWarpgroup - 1 && rows[kWalkedQueries - 1].start <= first_key;
#pragma unroll
  for (int i = 0; i < kWalkedQueries / 2; ++i) {
    const int column = i / 4 * 8 + at.column + i % 2, mine = key + i / 2 % 2 * 8;
    const AttentionRow& row = rows[column];
    const bool visible = all || (mine <= query + column && mine >= row.start);
    s[i] = Probability(s[i], visible, scale_log2, row.lse_log2);
  }
}

// dk and dv of 64 keys += those of a tile of queries. The probabilities' product runs while dP is computed.
template <int D>
__device__ __forceinline__ void AddQueries(float (&dk)[D / 2], float (&dv)[D / 2], KeysStorage<D>& shared, int stage,
                                           int row, int first_key, int query, float scale_log2) {
  const HeadTile<kWalkedQueries, D>&q = shared.stage[stage].q, &dy = shared.stage[stage].dy;
  const AttentionRow* const rows = shared.stage[stage].rows;
  float s[kWalkedQueries / 2], dp[kWalkedQueries / 2];
  LeftOperand<kWalkedQueries> left;
  WgmmaFence();
  Scores(s, shared.k, row, q);
  WgmmaCommit();
  WgmmaWait<0>(s);
  KeysProbabilities(s, rows, first_key, query, scale_log2);
  RoundToLeft(left, s);
  WgmmaFence();
  AddProduct(dv, left, dy);
  Scores(dp, shared.v, row, dy);
  WgmmaCommit();
  WgmmaWait<0>(dv);
  WgmmaWait<0>(dp);
  const int column = static_cast<int>(threadIdx.x) % 4 * 2;
#pragma unroll
  for (int i = 0; i < kWalkedQueries / 2; ++i) dp[i] = s[i] * (dp[i] - rows[i / 4 * 8 + column + i % 2].delta);
  RoundToLeft(left, dp);
  WgmmaFence();
  AddProduct(dk, left, q);
  WgmmaCommit();
  WgmmaWait<0>(dk);
}

template <int D>
__device__ __forceinline__ void Store(Bf16* rows, int valid, int first, const float (&sum)[D / 2], float factor) {
  const Fragment at(first, static_cast<int>(threadIdx.x) % kWarpgroup);
  StoreRounded<kStoredRegisters<D>>(rows, D, valid, D, 0, at,
                                    [&](int i) { return i < D / 2 ? sum[i] * factor : 0.0f; });
}

template <int D>
__device__ __forceinline__ void SumOverQueries(KeysStorage<D>& shared, const AttentionBackwardArgs<Bf16>& args,
                                               const KeysBlock& block) {
  const int row = (static_cast<int>(threadIdx.x) / kWarpgroup - 1) * kRowsOfWarpgroup, first_key = block.first + row;
  float dk[D / 2] = {}, dv[D / 2] = {};
  StageCursor<kStages> at;
  MbarrierWait(shared.own_full, 0);
  for (int index = 0; index < block.group * block.tiles; ++index) {
    const int query = (block.begin + index % block.tiles) * kWalkedQueries;
    auto& stage = shared.stage[at.stage];
    WaitForStage(shared.barriers, at);
    const bool sees = query + kWalkedQueries > first_key && stage.rows[0].start < first_key + kRowsOfWarpgroup;
    if (sees) AddQueries<D>(dk, dv, shared, at.stage, row, first_key, query, args.scale * kLog2E);
    ReleaseStage(shared.barriers, at.stage);
    at.Next();
  }
  const int64_t head = int64_t{blockIdx.x} * args.T * D;
  Store<D>(args.dk + head, args.T, first_key, dk, args.scale);
  Store<D>(args.dv + head, args.T, first_key, dv, 1.0f);
}

// Grid (B * K, key tiles); the first keys, which the most queries see, come first.
template <int D>
__global__ void __launch_bounds__(kThreads, 1) KeysKernel(const __grid_constant__ Args args) {
  auto& shared = SharedStorage<KeysStorage<D>>();
  const KeysBlock block(args.attention);
  if (threadIdx.x == 0) {
    MbarrierInit(shared.own_full, 1);
    InitStages(shared.barriers, kConsumingWarps);
  }
  __syncthreads();
  LoadAndConsume<kLoaderRegisters, kConsumerRegisters>([&] { LoadQueries<D>(shared, args, block); },
                                                       [&] { SumOverQueries<D>(shared, args.attention, block); });
}

// ---- dq ----

template <int D>
struct QueriesStorage {
  struct Stage {
    HeadTile<kWalkedKeys<D>, D> k, v;
  };
  HeadTile<kOwnRows, D> q, dy;
  Stage stage[kStages];
  StageBarriers<kStages> barriers;
  Mbarrier own_full;
};

// What a block of QueriesKernel works on.
template <int D>
struct QueriesBlock {
  int b, h, first;
  int begin, end;            // tiles of keys that some of its queries see
  const AttentionRow* rows;  // of the head
  __device__ __forceinline__ explicit QueriesBlock(const AttentionBackwardArgs<Bf16>& args)
      : b(static_cast<int>(blockIdx.x) / args.H),
        h(static_cast<int>(blockIdx.x) % args.H),
        first(static_cast<int>(gridDim.y - 1 - blockIdx.y) * kOwnRows),
        rows(args.rows + int64_t{blockIdx.x} * args.padded_T) {
    begin = rows[first].start / kWalkedKeys<D>;
    end = (Min(first + kOwnRows, args.T) - 1) / kWalkedKeys<D> + 1;
  }
};

template <int D>
__device__ __forceinline__ void LoadKeys(QueriesStorage<D>& shared, const Args& args, const QueriesBlock<D>& block) {
  const AttentionBackwardArgs<Bf16>& attention = args.attention;
  const int kv_head = block.b * attention.K + block.h / (attention.H / attention.K);
  MbarrierArriveExpect(shared.own_full, 2 * sizeof(HeadTile<kOwnRows, D>));
  LoadHead(shared.q, args.q, shared.own_full, block.first, static_cast<int>(blockIdx.x));
  LoadHead(shared.dy, args.dy, shared.own_full, block.first, block.h, block.b);
  StageCursor<kStages> at;
  for (int tile = block.begin; tile < block.end; ++tile) {
    auto& stage = shared.stage[at.stage];
    Mbarrier& full = AcquireStage(shared.barriers, at, sizeof stage);
    LoadHead(stage.k, args.k, full, tile * kWalkedKeys<D>, kv_head);
    LoadHead(stage.v, args.v, full, tile * kWalkedKeys<D>, kv_head);
    at.Next();
  }
}

// What a thread knows of its queries `row` and `row` + 8, and its warpgroup of all of them.
struct Queries {
  AttentionRow row[2];
  int position;             // of the first one
  int low, high;            // first and last query of the warpgroup
  int some_from, all_from;  // the keys that some and all of them see
};

// S and dP of 64 queries and a tile of keys become dS as left operands.
template <int D>
__device__ __forceinline__ void QueriesGradients(LeftOperand<kWalkedKeys<D>>& ds, QueriesStorage<D>& shared, int stage,
                                                 int row, const Queries& queries, int first_key, float scale_log2) {
  constexpr int kKeys = kWalkedKeys<D>;
  float s[kKeys / 2], dp[kKeys / 2];
  WgmmaFence();
  Scores(s, shared.q, row, shared.stage[stage].k);
  Scores(dp, shared.dy, row, shared.stage[stage].v);
  WgmmaCommit();
  WgmmaWait<0>(s);
  WgmmaWait<0>(dp);
  const int column = static_cast<int>(threadIdx.x) % 4 * 2;
  const bool all = first_key + kKeys - 1 <= queries.low && first_key >= queries.all_from;
#pragma unroll
  for (int i = 0; i < kKeys / 2; ++i) {
    const int half = i / 2 % 2, key = first_key + i / 4 * 8 + column + i % 2;
    const AttentionRow& mine = queries.row[half];
    const bool visible = all || (key <= queries.position + 8 * half && key >= mine.start);
    dp[i] = Probability(s[i], visible, scale_log2, mine.lse_log2) * (dp[i] - mine.delta);
  }
  RoundToLeft(ds, dp);
}

template <int D>
__device__ __forceinline__ void SumOverKeys(QueriesStorage<D>& shared, const AttentionBackwardArgs<Bf16>& args,
                                            const QueriesBlock<D>& block) {
  constexpr int kKeys = kWalkedKeys<D>;
  const int row = (static_cast<int>(threadIdx.x) / kWarpgroup - 1) * kRowsOfWarpgroup, first = block.first + row;
  const int mine = static_cast<int>(Fragment(first, static_cast<int>(threadIdx.x) % kWarpgroup).row);
  const Queries queries = {.row = {block.rows[mine], block.rows[mine + 8]},
                           .position = mine,
                           .low = first,
                           .high = Min(first + kRowsOfWarpgroup, args.T) - 1,
                           .some_from = block.rows[first].start,
                           .all_from = block.rows[first + kRowsOfWarpgroup - 1].start};
  float dq[D / 2] = {};
  StageCursor<kStages> at;
  MbarrierWait(shared.own_full, 0);
  for (int tile = block.begin; tile < block.end; ++tile) {
    const int key = tile * kKeys;
    const bool sees = key <= queries.high && key + kKeys > queries.some_from;
    WaitForStage(shared.barriers, at);
    if (sees) {
      LeftOperand<kKeys> ds;
      QueriesGradients<D>(ds, shared, at.stage, row, queries, key, args.scale * kLog2E);
      WgmmaFence();
      AddProduct(dq, ds, shared.stage[at.stage].k);
      WgmmaCommit();
      WgmmaWait<0>(dq);
    }
    ReleaseStage(shared.barriers, at.stage);
    at.Next();
  }
  Store<D>(args.dq + int64_t{blockIdx.x} * args.T * D, args.T, first, dq, args.scale);
}

// Grid (B * H, query tiles); the tiles with the most keys come first.
template <int D>
__global__ void __launch_bounds__(kThreads, 1) QueriesKernel(const __grid_constant__ Args args) {
  auto& shared = SharedStorage<QueriesStorage<D>>();
  const QueriesBlock<D> block(args.attention);
  if (threadIdx.x == 0) {
    MbarrierInit(shared.own_full, 1);
    InitStages(shared.barriers, kConsumingWarps);
  }
  __syncthreads();
  LoadAndConsume<kLoaderRegisters, kConsumerRegisters>([&] { LoadKeys<D>(shared, args, block); },
                                                       [&] { SumOverKeys<D>(shared, args.attention, block); });
}

// `queries`, `keys`: rows of a box of q and dy, and of k and v.
Args ArgsOf(const AttentionBackwardArgs<Bf16>& a, int queries, int keys) {
  const int64_t heads = int64_t{a.B} * a.H, kv_heads = int64_t{a.B} * a.K, stride = int64_t{a.T} * a.D;
  return {.q = MapOfHeads(a.q, a.D, a.T, heads, stride, queries),
          .k = MapOfHeads(a.k, a.D, a.T, kv_heads, stride, keys),
          .v = MapOfHeads(a.v, a.D, a.T, kv_heads, stride, keys),
          .dy = MapOfRows(a.dy, a.D, a.T, a.H, a.B, queries),
          .attention = a};
}

template <int D>
void LaunchBackward(const AttentionBackwardArgs<Bf16>& args, Context& ctx) {
  const unsigned tiles = (args.T + kOwnRows - 1) / kOwnRows;
  Launch(KeysKernel<D>,
         {.grid = dim3(args.B * args.K, tiles),
          .block = dim3(kThreads),
          .shared = sizeof(KeysStorage<D>),
          .stream = ctx.stream()},
         ArgsOf(args, kWalkedQueries, kOwnRows));
  Launch(QueriesKernel<D>,
         {.grid = dim3(args.B * args.H, tiles),
          .block = dim3(kThreads),
          .shared = sizeof(QueriesStorage<D>),
          .stream = ctx.stream()},
         ArgsOf(args, kOwnRows, kWalkedKeys<D>));
}

}  // namespace

bool TakesAttentionBackwardSm90(const AttentionBackwardArgs<Bf16>& args) {
  return IsWidth(args.D) && IsLoadable(args.q) && IsLoadable(args.k) && IsLoadable(args.v) && IsLoadable(args.dy) &&
         cuda::HasSm90();
}

void RunAttentionBackwardSm90(const AttentionBackwardArgs<Bf16>& args, Context& ctx) {
  INGOT_CHECK(TakesAttentionBackwardSm90(args), "no attention of sm_90a: ask TakesAttentionBackwardSm90() first");
  DispatchWidth(args.D, [&]<int D>() { LaunchBackward<D>(args, ctx); });
}

}  // namespace ingot
