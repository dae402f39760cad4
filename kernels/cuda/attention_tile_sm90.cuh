#pragma once
// Tiles of heads in shared memory as TMA brings them and wgmma reads them, for the kernels of attention. A block has one
// warpgroup that loads and two that multiply; each of the latter owns 64 of the block's 128 rows. A warpgroup's accumulator of 64
// rows is laid out as accumulator_sm90.cuh says; rounded to bf16 it is a left operand without any exchange.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/stages_sm90.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace ingot::attention_sm90 {

inline constexpr int kWarpgroup = 128, kConsumers = 2;
inline constexpr int kRowsOfWarpgroup = 64, kOwnRows = kConsumers * kRowsOfWarpgroup;
inline constexpr int kThreads = (1 + kConsumers) * kWarpgroup;
inline constexpr int kConsumingWarps = kConsumers * kWarpgroup / 32;
inline constexpr int kLoaderRegisters = 40, kConsumerRegisters = 232;
inline constexpr int kSlab = 64;       // elements of a head in a row of the swizzle's pattern
inline constexpr int kStepDepth = 16;  // terms of one wgmma
inline constexpr int kEightRows = 1024;

constexpr bool IsWidth(int D) { return D == 64 || D == 80 || D == 96 || D == 128; }

// kRows rows of a head, a slab of 64 columns after another; columns beyond D are zeros.
template <int kRows_, int D>
struct HeadTile {
  static constexpr int kRows = kRows_, kSlabBytes = kRows * 128;
  static constexpr int kWidth = (D + kSlab - 1) / kSlab * kSlab;
  alignas(1024) Bf16 values[kRows * kWidth];
};

// Starts the loads of rows [row, row + kRows) of a head; zeros behind the last row. By one thread; completes on `full` with the
// bytes of the tile. `head`: one coordinate, or two.
template <int kRows, int D, typename... Head>
__device__ __forceinline__ void LoadHead(HeadTile<kRows, D>& tile, const TensorMap& map, Mbarrier& full, int row,
                                         Head... head) {
  for (int d = 0; d < D; d += kSlab) TensorLoad(tile.values + d * kRows, map, full, d, row, head...);
}

// s (64 x kColumns) = a[row, row + 64) (64 x D) * transpose of b (kColumns x D). WgmmaFence() before, WgmmaCommit() behind.
template <int kRows, int kColumns, int D>
__device__ __forceinline__ void Scores(float (&s)[kColumns / 2], const HeadTile<kRows, D>& a, int row,
                                       const HeadTile<kColumns, D>& b) {
  const uint64_t left = MatrixDescriptor(a.values + row * kSlab, 16, kEightRows, Swizzle::k128);
  const uint64_t right = MatrixDescriptor(b.values, 16, kEightRows, Swizzle::k128);
#pragma unroll
  for (int d = 0; d < D; d += kStepDepth) {
    const int slab = d / kSlab, within = d % kSlab * static_cast<int>(sizeof(Bf16));
    WgmmaM64K16<false, false>(s, Advanced(left, slab * a.kSlabBytes + within),
                              Advanced(right, slab * b.kSlabBytes + within), d > 0);
  }
}

// 64 x kRows numbers as left operands.
template <int kRows>
using LeftOperand = uint32_t[kRows / kStepDepth][4];

template <int kRegisters>
__device__ __forceinline__ void RoundToLeft(LeftOperand<2 * kRegisters>& a, const float (&p)[kRegisters]) {
#pragma unroll
  for (int i = 0; i < kRegisters / 2; ++i) a[i / 4][i % 4] = PackBf16x2(p[2 * i], p[2 * i + 1]);
}

// sum (64 x D) += a (64 x kRows) * tile (kRows x D). Fence and commit as for Scores().
template <int kRows, int D>
__device__ __forceinline__ void AddProduct(float (&sum)[D / 2], const LeftOperand<kRows>& a,
                                           const HeadTile<kRows, D>& tile) {
  const uint64_t b = MatrixDescriptor(tile.values, tile.kSlabBytes, kEightRows, Swizzle::k128);
#pragma unroll
  for (int step = 0; step < kRows / kStepDepth; ++step) {
    WgmmaM64K16<true>(sum, a[step], Advanced(b, step * 2 * kEightRows), true);
  }
}

// The accumulator's registers and as many more, of no value, as StoreRounded() asks for.
template <int D>
inline constexpr int kStoredRegisters = (D / 2 + 15) / 16 * 16;

// Of heads (heads, rows, D), `stride` elements apart; a box has `box_rows` rows.
inline TensorMap MapOfHeads(const Bf16* x, int D, int rows, int64_t heads, int64_t stride, int box_rows) {
  return cuda::MakeTensorMap({.base = x,
                              .dtype = DType::kBf16,
                              .rank = 3,
                              .sizes = {D, rows, heads},
                              .strides = {1, D, stride},
                              .box = {kSlab, box_rows, 1},
                              .swizzle = Swizzle::k128});
}

// Of heads (B, T, H, D).
inline TensorMap MapOfRows(const Bf16* x, int D, int T, int H, int B, int box_rows) {
  return cuda::MakeTensorMap({.base = x,
                              .dtype = DType::kBf16,
                              .rank = 4,
                              .sizes = {D, T, H, B},
                              .strides = {1, int64_t{H} * D, D, int64_t{T} * H * D},
                              .box = {kSlab, box_rows, 1, 1},
                              .swizzle = Swizzle::k128});
}

// Calls f.operator()<D>() for a width that IsWidth().
template <typename F>
void DispatchWidth(int D, F&& f) {
  switch (D) {
    case 64:
      return f.template operator()<64>();
    case 80:
      return f.template operator()<80>();
    case 96:
      return f.template operator()<96>();
    default:
      return f.template operator()<128>();
  }
}

inline bool IsLoadable(const Bf16* x) { return reinterpret_cast<uintptr_t>(x) % 16 == 0; }

}  // namespace ingot::attention_sm90
