#include "kernels/cuda/gemm_fp8_sm90.h"

#include "kernels/cuda/gemm_tile_sm90.cuh"
#include "kernels/cuda/wgmma.cuh"
#include "kernels/fp8_matrix.h"

namespace ingot::cuda {
namespace {

constexpr int kBlock = static_cast<int>(Fp8Matrix::kBlock);  // of a scale: the depth of a stage and its columns of b
constexpr int kStepK = 32;                                   // of one wgmma
constexpr int kPartials = kBlock / 2;                        // registers of 64 rows and kBlock columns
static_assert(kTileM == kBlock);

// Rows of 128 values, which are rows of the swizzle's pattern.
template <int kTileN>
struct Stage {
  alignas(1024) uint8_t a[kTileM * kBlock];
  alignas(1024) uint8_t b[kTileN * kBlock];
};
template <int kTileN>
using Storage = StagesOf<Stage<kTileN>>;

struct Scales {
  const float* of_block;
  int64_t stride_m, stride_k;
};

struct Args {
  TensorMap a, b;
  Scales a_scales, b_scales;
  Output output;
  int64_t K;
};

template <int kTileN>
__device__ __forceinline__ void LoadTiles(Storage<kTileN>& shared, const Args& args) {
  const int64_t M = args.output.M, N = args.output.N;
  StageCursor<Storage<kTileN>::kStages> at;
  for (int64_t tile = blockIdx.x; tile < TilesOf<kTileN>(M, N); tile += gridDim.x) {
    const TilePlace place = PlaceOfTile<kTileN>(tile, M, N);
    for (int k = 0; k < static_cast<int>(args.K); k += kBlock) {
      Stage<kTileN>& stage = shared.stage[at.stage];
      Mbarrier& full = AcquireStage(shared.barriers, at, sizeof stage.a + sizeof stage.b);
      TensorLoad(stage.a, args.a, full, k, static_cast<int>(place.m));
      TensorLoad(stage.b, args.b, full, k, static_cast<int>(place.n));
      at.Next();
    }
  }
}

// scale[j]: what the product of the blocks at (m, k) of a and (n + 128 j, k) of b is multiplied by; 0 beyond N.
template <int kBlocksN>
__device__ __forceinline__ void LoadScales(const Args& args, const TilePlace& place, int64_t k_block,
                                           float (&scale)[kBlocksN]) {
  const Scales &a = args.a_scales, &b = args.b_scales;
  const float of_a = a.of_block[place.m / kBlock * a.stride_m + k_block * a.stride_k];
#pragma unroll
  for (int j = 0; j < kBlocksN; ++j) {
    const int64_t n = place.n + j * kBlock;
    scale[j] = n < args.output.N ? of_a * b.of_block[n / kBlock * b.stride_m + k_block * b.stride_k] : 0.0f;
  }
}

// 64 rows of a stage's a times 128 rows of its b. A tensor core keeps too few bits for longer sums.
template <typename A, typename B>
__device__ __forceinline__ void MultiplyBlock(const uint8_t* a_rows, const uint8_t* b_rows,
                                              float (&partial)[kPartials]) {
  constexpr int kEightRows = 8 * kBlock, kUnused = 16;
  const uint64_t a = MatrixDescriptor(a_rows, kUnused, kEightRows, Swizzle::k128);
  const uint64_t b = MatrixDescriptor(b_rows, kUnused, kEightRows, Swizzle::k128);
  WgmmaFence();
#pragma unroll
  for (int k = 0; k < kBlock; k += kStepK) WgmmaM64K32<A, B>(partial, Advanced(a, k), Advanced(b, k), k > 0);
  WgmmaCommit();
  WgmmaWait<0>(partial);
}

template <typename A, typename B, int kTileN, typename Out>
__device__ __forceinline__ void MultiplyTiles(Storage<kTileN>& shared, const Args& args) {
  constexpr int kBlocksN = kTileN / kBlock;
  const int64_t M = args.output.M, N = args.output.N;
  const int thread = static_cast<int>(threadIdx.x) % kWarpgroup;
  const int slab = static_cast<int>(threadIdx.x) / kWarpgroup - 1;
  StageCursor<Storage<kTileN>::kStages> at;
  for (int64_t tile = blockIdx.x; tile < TilesOf<kTileN>(M, N); tile += gridDim.x) {
    const TilePlace place = PlaceOfTile<kTileN>(tile, M, N);
    float sum[kTileN / 2];
#pragma unroll
    for (int i = 0; i < kTileN / 2; ++i) sum[i] = 0;
    for (int64_t k = 0; k < args.K; k += kBlock) {
      float scale[kBlocksN];
      LoadScales(args, place, k / kBlock, scale);
      const Stage<kTileN>& stage = shared.stage[at.stage];
      WaitForStage(shared.barriers, at);
#pragma unroll
      for (int j = 0; j < kBlocksN; ++j) {
        float partial[kPartials];
        MultiplyBlock<A, B>(stage.a + slab * kSlab * kBlock, stage.b + j * kBlock * kBlock, partial);
        if (j == kBlocksN - 1) ReleaseStage(shared.barriers, at.stage);
#pragma unroll
        for (int i = 0; i < kPartials; ++i) sum[j * kPartials + i] += scale[j] * partial[i];
      }
      at.Next();
    }
    StoreSums<Out>(args.output, sum, place.m + slab * kSlab, place.n, thread);
  }
}

// Memory plan: a block owns 128 x kTileN elements of c at a time, a consuming warpgroup 64 rows of them in its registers,
// besides the sums of 128 terms of 128 columns. While one warpgroup scales those, the other's products run.
//   shared   stages of 128 terms of the rows of a and b, as TMA has brought them; beyond K they are zero
//   traffic  a is read N / kTileN times, b M / 128 times, mostly from the L2 cache, a scale of each for a stage; c is written
//            once (read with beta)
template <typename A, typename B, int kTileN, typename Out>
__global__ void __launch_bounds__(kThreads, 1) GemmFp8Kernel(const __grid_constant__ Args args) {
  auto& shared = SharedStorage<Storage<kTileN>>();
  if (threadIdx.x == 0) {
    PrefetchTensorMap(args.a);
    PrefetchTensorMap(args.b);
    InitStages(shared.barriers, kConsumers / 32);
  }
  __syncthreads();
  LoadAndConsume<kLoaderRegisters, kConsumerRegisters>([&] { LoadTiles<kTileN>(shared, args); },
                                                       [&] { MultiplyTiles<A, B, kTileN, Out>(shared, args); });
}

TensorMap MapOf(const Tensor& values, int box_rows) {
  return MakeTensorMap({.base = values.ptr,
                        .dtype = values.dtype,
                        .rank = 2,
                        .sizes = {values.dim(1), values.dim(0)},
                        .strides = {1, values.dim(1)},
                        .box = {kBlock, box_rows},
                        .swizzle = Swizzle::k128});
}

Scales ScalesOf(const Fp8Operand& x) { return {x.scales, x.stride_m, x.stride_k}; }

template <typename A, typename B, int kTileN, typename Out>
void LaunchGemm(const GemmFp8& gemm, void* stream) {
  const Args args{.a = MapOf(gemm.a.values, kTileM),
                  .b = MapOf(gemm.b.values, kTileN),
                  .a_scales = ScalesOf(gemm.a),
                  .b_scales = ScalesOf(gemm.b),
                  .output = {.c = gemm.c.data<Out>(),
                             .bias = gemm.bias.data<Out>(),
                             .M = gemm.M(),
                             .N = gemm.N(),
                             .alpha = 1,
                             .beta = gemm.beta},
                  .K = gemm.K()};
  LaunchTiles<Storage<kTileN>>(GemmFp8Kernel<A, B, kTileN, Out>, TilesOf<kTileN>(gemm.M(), gemm.N()), args, stream);
}

}  // namespace

void RunGemmFp8Sm90(const GemmFp8& gemm, void* stream) {
  constexpr int64_t kMost = int64_t{1} << 31;  // coordinates are 32 bits
  gemm.Check();
  INGOT_CHECK(HasSm90(), "no product of fp8: ask WhyNoFp8() first");
  INGOT_CHECK(gemm.M() < kMost && gemm.N() < kMost && gemm.K() < kMost, "gemm of fp8: 2^31 rows or columns");
  if (Count(gemm.c) == 0) return;
  DispatchFp8(gemm.a.values.dtype, [&]<typename A>() {
    DispatchFp8(gemm.b.values.dtype, [&]<typename B>() {
      DispatchFloat(gemm.c.dtype, [&]<typename Out>() {
        WideTilesAreFaster(gemm.M(), gemm.N()) ? LaunchGemm<A, B, 256, Out>(gemm, stream)
                                               : LaunchGemm<A, B, 128, Out>(gemm, stream);
      });
    });
  });
}

}  // namespace ingot::cuda
