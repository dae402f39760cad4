#pragma once
// Tiles in shared memory and the fragments of mma.m16n8k16, as the tensor-core kernels of attention use them. A warp
// works on 16 rows. Its accumulator of 16 rows and N columns is float[N / 8][4]: element i of column tile n stands at row
// LaneRow() + 8 * (i / 2), column 8 * n + LaneColumn() + i % 2.
#include "kernels/cuda/device.cuh"

namespace ingot {

__device__ __forceinline__ int Lane() { return static_cast<int>(threadIdx.x) % 32; }
__device__ __forceinline__ int LaneRow() { return Lane() / 4; }
__device__ __forceinline__ int LaneColumn() { return Lane() % 4 * 2; }

// Rows of D bf16 values, in chunks of 16 bytes. A row's chunks are permuted so that any 8 rows that ldmatrix reads at
// once lie in the 8 different groups of 4 banks: where D / 8 is an odd multiple of kSpread (at most 8), rows 8 / kSpread
// apart would collide, and an exclusive or by their number modulo kSpread parts them. No padding is needed.
template <int kRows_, int D>
struct alignas(128) AttentionTile {
  static constexpr int kRows = kRows_, kChunks = D / 8;
  static constexpr int kSpread = kChunks % 8 == 0 ? 8 : kChunks % 4 == 0 ? 4 : 2;
  Bf16 values[kRows * D];

  __device__ __forceinline__ static int Mix(int row) { return row / (8 / kSpread) % kSpread; }

  __device__ __forceinline__ Bf16* Chunk(int row, int chunk) {
    return values + row * D + (chunk / kSpread * kSpread + (chunk % kSpread ^ Mix(row))) * 8;
  }

  // Chunk(row + lane_row, 2 * step + side) for `row` a multiple of 8, so written that all but kSpread / 2 values of what
  // depends on the lane are offsets known to the compiler.
  __device__ __forceinline__ Bf16* LaneChunk(int row, int lane_row, int step, int side) {
    const int inside = step % (kSpread / 2) * 2;
    return values + (row * D + step / (kSpread / 2) * kSpread * 8) +
           (lane_row * D + (inside ^ (side ^ Mix(lane_row))) * 8);
  }
};

// Starts the copy of rows [0, valid) at `rows`, `stride` elements apart; the tile's other rows become 0.
template <int kThreads, int kRows, int D>
__device__ __forceinline__ void CopyTile(AttentionTile<kRows, D>& tile, const Bf16* rows, int64_t stride, int valid) {
  constexpr int kChunks = D / 8;
#pragma unroll
  for (int i = static_cast<int>(threadIdx.x); i < kRows * kChunks; i += kThreads) {
    const int row = i / kChunks, chunk = i % kChunks;
    CopyAsync16(tile.Chunk(row, chunk), rows + row * stride + chunk * 8, row < valid);
  }
}

// 16 rows from `row` on, columns [16 * step, 16 * step + 16), as the left operand.
template <int kRows, int D>
__device__ __forceinline__ void LoadLeft(uint32_t (&a)[4], AttentionTile<kRows, D>& tile, int row, int step) {
  LoadMatrixX4(a, tile.LaneChunk(row, Lane() % 16, step, Lane() / 16));
}

// The same place of the tile's transpose as the right operand: b[0], b[1] for rows [row, row + 8), b[2], b[3] for the
// next 8, which become columns of the product; the tile's columns are what is summed over.
template <int kRows, int D>
__device__ __forceinline__ void LoadRightTransposed(uint32_t (&b)[4], AttentionTile<kRows, D>& tile, int row,
                                                    int step) {
  LoadMatrixX4(b, tile.LaneChunk(row, Lane() / 16 * 8 + Lane() % 8, step, Lane() / 8 % 2));
}

// As the right operand: rows [row, row + 16) are summed over; b[0], b[1] for 8 columns, b[2], b[3] for the next 8.
template <int kRows, int D>
__device__ __forceinline__ void LoadRight(uint32_t (&b)[4], AttentionTile<kRows, D>& tile, int row, int step) {
  LoadMatrixX4Transposed(b, tile.LaneChunk(row, Lane() % 16, step, Lane() / 16));
}

// An accumulator's columns [16 * step, 16 * step + 16), rounded to bf16, are a left operand without any exchange.
template <int kTiles>
__device__ __forceinline__ void RoundToLeft(uint32_t (&a)[4], const float (&c)[kTiles][4], int step) {
#pragma unroll
  for (int i = 0; i < 4; ++i) a[i] = PackBf16x2(c[2 * step + i / 2][i % 2 * 2], c[2 * step + i / 2][i % 2 * 2 + 1]);
}

// sum (16 x D) += p (16 x 16 * kSteps) * rows [row, row + 16 * kSteps) of the tile.
template <int kTiles, int kRows, int D>
__device__ __forceinline__ void AddProduct(float (&sum)[D / 8][4], const float (&p)[kTiles][4],
                                           AttentionTile<kRows, D>& tile, int row) {
#pragma unroll
  for (int step = 0; step < kTiles / 2; ++step) {
    uint32_t a[4];
    RoundToLeft(a, p, step);
#pragma unroll
    for (int n = 0; n < D / 16; ++n) {
      uint32_t b[4];
      LoadRight(b, tile, row + step * 16, n);
      MmaM16N8K16(sum[2 * n], a, b[0], b[1]);
      MmaM16N8K16(sum[2 * n + 1], a, b[2], b[3]);
    }
  }
}

// Writes the first `valid` of 16 rows, times `upper` for rows 0-7 and `lower` for rows 8-15 of a lane, in bf16. They go by
// way of 16 rows of a tile, which no other warp reads or writes any more, so that memory is written in 16-byte chunks.
template <int kRows, int D>
__device__ __forceinline__ void StoreRows(const float (&c)[D / 8][4], float upper, float lower,
                                          AttentionTile<kRows, D>& tile, int row, Bf16* y, int64_t stride, int valid) {
  __syncwarp();
#pragma unroll
  for (int n = 0; n < D / 8; ++n) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float factor = half == 0 ? upper : lower;
      Bf16* const place = tile.Chunk(row + LaneRow() + 8 * half, n) + LaneColumn();
      *reinterpret_cast<uint32_t*>(place) = PackBf16x2(c[n][2 * half] * factor, c[n][2 * half + 1] * factor);
    }
  }
  __syncwarp();
  constexpr int kChunks = D / 8;
  for (int i = Lane(); i < 16 * kChunks; i += 32) {
    const int r = i / kChunks, chunk = i % kChunks;
    if (r < valid) Store16(y + r * stride + chunk * 8, Load16(tile.Chunk(row + r, chunk)));
  }
}

}  // namespace ingot
