#include "kernels/cuda/gemm_sm90.h"

#include "kernels/checks.h"
#include "kernels/cuda/gemm_tile_sm90.cuh"
#include "kernels/cuda/sigmoid.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace ingot::cuda {
namespace {

constexpr int kTileK = 64;  // a row of the swizzle's pattern
constexpr int kSlabElements = kSlab * kTileK;
constexpr int kStepK = 16;  // of one wgmma

template <int kTileN>
struct Stage {
  alignas(1024) Bf16 a[kTileM * kTileK];
  alignas(1024) Bf16 b[kTileN * kTileK];
};

template <int kTileN>
using Storage = StagesOf<Stage<kTileN>>;

struct Args {
  TensorMap a, b;
  Output output;  // N: columns of c, of SwiGLU those of y
  Bf16* y;        // of SwiGLU
  int64_t K;
};

// Rows [row, row + kRows) and columns [k, k + kTileK) of an operand. One whose k lie together comes as one box, another as
// slabs of 64 rows.
template <bool kMnMajor, int kRows>
__device__ __forceinline__ void LoadOperand(Bf16* tile, const TensorMap& map, Mbarrier& full, int row, int k) {
  if constexpr (!kMnMajor) {
    TensorLoad(tile, map, full, k, row);
  } else {
    for (int slab = 0; slab < kRows / kSlab; ++slab) {
      TensorLoad(tile + slab * kSlabElements, map, full, row + slab * kSlab, k);
    }
  }
}

template <bool kMnMajor>
__device__ __forceinline__ uint64_t DescriptorOf(const Bf16* tile) {
  constexpr int kSlabBytes = kSlabElements * static_cast<int>(sizeof(Bf16)), kEightRows = 1024;
  return MatrixDescriptor(tile, kMnMajor ? kSlabBytes : 16, kEightRows, Swizzle::k128);
}
template <bool kMnMajor>
inline constexpr int kStepBytes = kMnMajor ? 2048 : kStepK* static_cast<int>(sizeof(Bf16));

// c as Output has it.
struct Plain {
  template <int kTileN>
  static constexpr int kColumns = kTileN;

  template <typename Out, int kRegisters>
  static __device__ __forceinline__ void Store(const Args& args, const float (&sum)[kRegisters], int64_t m, int64_t n,
                                               int thread) {
    StoreSums<Out>(args.output, sum, m, n, thread);
  }
};

// The first half of the sums are gate, the second up, of the same columns of y.
struct Swiglu {
  template <int kTileN>
  static constexpr int kColumns = kTileN / 2;

  template <typename Out, int kRegisters>
  static __device__ __forceinline__ void Store(const Args& args, const float (&sum)[kRegisters], int64_t m, int64_t n,
                                               int thread) {
    constexpr int kHalf = kRegisters / 2;
    const Fragment at(m, thread);
    const int64_t M = args.output.M, F = args.output.N;
    auto* const gate = static_cast<Bf16*>(args.output.c);
    StoreRounded<kHalf>(gate, 2 * F, M, F, n, at, [&](int i) { return sum[i]; });
    StoreRounded<kHalf>(gate + F, 2 * F, M, F, n, at, [&](int i) { return sum[i + kHalf]; });
    StoreRounded<kHalf>(args.y, F, M, F, n, at, [&](int i) {
      const float g = ToFloat(RoundToBf16(sum[i])), u = ToFloat(RoundToBf16(sum[i + kHalf]));
      return u * (g * SigmoidAndComplement(g).value);
    });
  }
};

template <bool kMMajor, bool kNMajor, int kTileN, typename Epilogue>
__device__ __forceinline__ void LoadTiles(Storage<kTileN>& shared, const Args& args) {
  constexpr int kColumns = Epilogue::template kColumns<kTileN>;
  const int64_t M = args.output.M, N = args.output.N;
  StageCursor<Storage<kTileN>::kStages> at;
  for (int64_t tile = blockIdx.x; tile < TilesOf<kColumns>(M, N); tile += gridDim.x) {
    const TilePlace place = PlaceOfTile<kColumns>(tile, M, N);
    const int m = static_cast<int>(place.m), n = static_cast<int>(place.n);
    for (int k = 0; k < static_cast<int>(args.K); k += kTileK) {
      Stage<kTileN>& stage = shared.stage[at.stage];
      Mbarrier& full = AcquireStage(shared.barriers, at, sizeof stage.a + sizeof stage.b);
      LoadOperand<kMMajor, kTileM>(stage.a, args.a, full, m, k);
      LoadOperand<kNMajor, kColumns>(stage.b, args.b, full, n, k);
      if constexpr (kColumns < kTileN) {
        LoadOperand<kNMajor, kColumns>(stage.b + kColumns * kTileK, args.b, full, n + static_cast<int>(N), k);
      }
      at.Next();
    }
  }
}

template <bool kMMajor, bool kNMajor, int kTileN, typename Out, typename Epilogue>
__device__ __forceinline__ void MultiplyTiles(Storage<kTileN>& shared, const Args& args) {
  constexpr int kColumns = Epilogue::template kColumns<kTileN>;
  const int thread = static_cast<int>(threadIdx.x) % kWarpgroup;
  const int slab = static_cast<int>(threadIdx.x) / kWarpgroup - 1;
  const int64_t M = args.output.M, N = args.output.N;
  StageCursor<Storage<kTileN>::kStages> at;
  float sum[kTileN / 2];
  for (int64_t tile = blockIdx.x; tile < TilesOf<kColumns>(M, N); tile += gridDim.x) {
    int last = 0;
    for (int k = 0; k < static_cast<int>(args.K); k += kTileK) {
      const Stage<kTileN>& stage = shared.stage[at.stage];
      WaitForStage(shared.barriers, at);
      WgmmaFence();
      const uint64_t a = DescriptorOf<kMMajor>(stage.a + slab * kSlabElements), b = DescriptorOf<kNMajor>(stage.b);
#pragma unroll
      for (int step = 0; step < kTileK / kStepK; ++step) {
        WgmmaM64K16<kMMajor, kNMajor>(sum, Advanced(a, step * kStepBytes<kMMajor>),
                                      Advanced(b, step * kStepBytes<kNMajor>), k > 0 || step > 0);
      }
      WgmmaCommit();
      // While these run, the stage before them is free again.
      WgmmaWait<1>();
      if (k > 0) ReleaseStage(shared.barriers, last);
      last = at.stage;
      at.Next();
    }
    WgmmaWait<0>(sum);
    ReleaseStage(shared.barriers, last);
    const TilePlace place = PlaceOfTile<kColumns>(tile, M, N);
    Epilogue::template Store<Out>(args, sum, place.m + slab * kSlab, place.n, thread);
  }
}

// Memory plan: a block owns 128 x kTileN elements of c at a time, a consuming warpgroup 64 rows of them in its registers.
//   shared   stages of 64 terms of the rows of a and of the columns of b, as TMA has brought them
//   traffic  a is read N / kTileN times, b M / 128 times, mostly from the L2 cache; c is written once (read with beta)
template <bool kMMajor, bool kNMajor, int kTileN, typename Out, typename Epilogue>
__global__ void __launch_bounds__(kThreads, 1) GemmKernel(const __grid_constant__ Args args) {
  auto& shared = SharedStorage<Storage<kTileN>>();
  if (threadIdx.x == 0) {
    PrefetchTensorMap(args.a);
    PrefetchTensorMap(args.b);
    InitStages(shared.barriers, kConsumers / 32);
  }
  __syncthreads();
  LoadAndConsume<kLoaderRegisters, kConsumerRegisters>(
      [&] { LoadTiles<kMMajor, kNMajor, kTileN, Epilogue>(shared, args); },
      [&] { MultiplyTiles<kMMajor, kNMajor, kTileN, Out, Epilogue>(shared, args); });
}

// Of a matrix in memory (rows, columns): one box has 64 columns, which is a row of the pattern, and `box_rows` rows.
TensorMap MapOf(const Tensor& x, int box_rows) {
  return MakeTensorMap({.base = x.data<Bf16>(),
                        .dtype = DType::kBf16,
                        .rank = 2,
                        .sizes = {x.dim(1), x.dim(0)},
                        .strides = {1, x.dim(1)},
                        .box = {kTileK, box_rows},
                        .swizzle = Swizzle::k128});
}

bool CanLoad(const Tensor& x) {
  constexpr int64_t kRowElements = 8;          // 16 bytes
  constexpr int64_t kMost = int64_t{1} << 31;  // coordinates are 32 bits
  return x.dtype == DType::kBf16 && x.dim(1) % kRowElements == 0 && x.dim(0) < kMost && x.dim(1) < kMost &&
         reinterpret_cast<uintptr_t>(x.data<Bf16>()) % 16 == 0;
}

template <bool kMMajor, bool kNMajor, int kTileN, typename Out, typename Epilogue>
void LaunchGemm(const Args& args, void* stream) {
  const int64_t tiles = TilesOf<Epilogue::template kColumns<kTileN>>(args.output.M, args.output.N);
  LaunchTiles<Storage<kTileN>>(GemmKernel<kMMajor, kNMajor, kTileN, Out, Epilogue>, tiles, args, stream);
}

template <bool kMMajor, bool kNMajor, typename Out>
void LaunchOfMajors(const Gemm& gemm, void* stream) {
  const bool wide = WideTilesAreFaster(gemm.M(), gemm.N());
  const int columns = wide ? 256 : 128;
  const Args args{.a = MapOf(gemm.a, kMMajor ? kTileK : kTileM),
                  .b = MapOf(gemm.b, kNMajor ? kTileK : columns),
                  .output = {.c = gemm.c.data<Out>(),
                             .bias = gemm.bias.data<Out>(),
                             .M = gemm.M(),
                             .N = gemm.N(),
                             .alpha = gemm.alpha,
                             .beta = gemm.beta},
                  .y = nullptr,
                  .K = gemm.K()};
  if (wide) {
    LaunchGemm<kMMajor, kNMajor, 256, Out, Plain>(args, stream);
  } else {
    LaunchGemm<kMMajor, kNMajor, 128, Out, Plain>(args, stream);
  }
}

}  // namespace

bool TakesGemmSm90(const Gemm& gemm) {
  return !gemm.fuses() && Count(gemm.c) > 0 && gemm.K() > 0 && CanLoad(gemm.a) && CanLoad(gemm.b) && HasSm90();
}

void RunGemmSm90(const Gemm& gemm, void* stream) {
  gemm.Check();
  INGOT_CHECK(TakesGemmSm90(gemm), "no product of sm_90a: ask TakesGemmSm90() first");
  DispatchFloat(gemm.c.dtype, [&]<typename Out>() {
    if (gemm.transpose_a) {
      gemm.transpose_b ? LaunchOfMajors<true, false, Out>(gemm, stream) : LaunchOfMajors<true, true, Out>(gemm, stream);
    } else {
      gemm.transpose_b ? LaunchOfMajors<false, false, Out>(gemm, stream)
                       : LaunchOfMajors<false, true, Out>(gemm, stream);
    }
  });
}

void SwigluGemm::Check() const {
  const int64_t R = x.dim(0), C = x.dim(1), F = y.dim(1);
  INGOT_CHECK_SHAPE(w, 2 * F, C);
  INGOT_CHECK_SHAPE(gate_up, R, 2 * F);
  INGOT_CHECK_SHAPE(y, R, F);
  INGOT_CHECK_DTYPE(x, DType::kBf16);
  CheckFloats("swiglu gemm", {x, w, gate_up, y});
  CheckApart("swiglu gemm", {gate_up, y}, {x, w});
}

bool TakesSwigluGemmSm90(const SwigluGemm& gemm) {
  return Count(gemm.y) > 0 && gemm.x.dim(1) > 0 && CanLoad(gemm.x) && CanLoad(gemm.w) && HasSm90();
}

void RunSwigluGemmSm90(const SwigluGemm& gemm, void* stream) {
  gemm.Check();
  INGOT_CHECK(TakesSwigluGemmSm90(gemm), "no product of sm_90a: ask TakesSwigluGemmSm90() first");
  constexpr int kTileN = 256;
  const Args args{.a = MapOf(gemm.x, kTileM),
                  .b = MapOf(gemm.w, kTileN / 2),
                  .output = {.c = gemm.gate_up.data<Bf16>(),
                             .bias = nullptr,
                             .M = gemm.x.dim(0),
                             .N = gemm.y.dim(1),
                             .alpha = 1,
                             .beta = 0},
                  .y = gemm.y.data<Bf16>(),
                  .K = gemm.x.dim(1)};
  LaunchGemm<false, false, kTileN, Bf16, Swiglu>(args, stream);
}

}  // namespace ingot::cuda
