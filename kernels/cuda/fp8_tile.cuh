#pragma once
// How kernels round a matrix to fp8 (kernels/fp8_matrix.h) while they make it: a Source says what its elements are, and
//   template <int kCount> void operator()(int64_t r, int64_t c, float (&x)[kCount]) const
// gives those of the columns [c, c + kCount) of row r: 8 where all its rows lie in packs of 16 bytes, else 1. A Source may have
// ColumnBlock(i), the i-th block of columns to be made; without it that is i.
#include <cstdint>

#include "kernels/cuda/packs.cuh"
#include "kernels/fp8_matrix.h"

namespace ingot {

inline constexpr int kFp8Block = static_cast<int>(Fp8Matrix::kBlock);
inline constexpr int kFp8Threads = 256;   // each of 8 rows of 8 columns
inline constexpr int kFp8ThreadSide = 8;  // elements
inline constexpr int kFp8ThreadsAlong = kFp8Block / kFp8ThreadSide;

template <typename Fp8>
struct Fp8Out {
  uint8_t *rows, *columns;  // or null
  float* scales;
  int64_t R, C;
};

// `columns` holds the codes transposed, 8 rows a unit. Unit u of column c lies at u ^ (c / 8): so neither the writing of a
// warp, 16 threads that are 8 columns apart, nor the reading, 8 threads along a column, meets a bank twice.
struct Fp8TileShared {
  alignas(16) uint64_t columns[kFp8Block][kFp8ThreadsAlong];
  uint32_t largest[kFp8Threads / 32];
};

// The largest of all threads' values. Of integers: any order gives the same.
__device__ __forceinline__ uint32_t LargestOfBlock(uint32_t value, Fp8TileShared& s) {
  for (int lanes = 16; lanes > 0; lanes /= 2) value = Max(value, __shfl_xor_sync(kAllLanes, value, lanes));
  if (threadIdx.x % 32 == 0) s.largest[threadIdx.x / 32] = value;
  __syncthreads();
  for (const uint32_t of_warp : s.largest) value = Max(value, of_warp);
  return value;
}

// Byte j of word i becomes byte i of word j.
__device__ __forceinline__ void TransposeBytes(uint32_t (&w)[4]) {
  constexpr uint32_t kEven = 0x00FF00FFu;
  const uint32_t a = (w[0] & kEven) | (w[1] & kEven) << 8, b = (w[0] >> 8 & kEven) | (w[1] & ~kEven);
  const uint32_t c = (w[2] & kEven) | (w[3] & kEven) << 8, d = (w[2] >> 8 & kEven) | (w[3] & ~kEven);
  w[0] = (a & 0xFFFFu) | c << 16;
  w[1] = (b & 0xFFFFu) | d << 16;
  w[2] = a >> 16 | (c & 0xFFFF0000u);
  w[3] = b >> 16 | (d & 0xFFFF0000u);
}

// p[0, min(n, 8)) = the bytes of `codes`.
__device__ __forceinline__ void StoreCodes(uint8_t* p, uint64_t codes, int64_t n) {
  if (n >= 8 && reinterpret_cast<uintptr_t>(p) % 8 == 0) {
    *reinterpret_cast<uint64_t*>(p) = codes;
    return;
  }
  for (int i = 0; i < 8; ++i) {
    if (i < n) p[i] = static_cast<uint8_t>(codes >> 8 * i);
  }
}

// The elements of the calling thread, rows from r and columns from c; 0 beyond the matrix.
template <bool kPacks, typename Source>
__device__ __forceinline__ void LoadFp8Elements(const Source& source, int64_t r, int64_t c, int64_t R, int64_t C,
                                                float (&x)[kFp8ThreadSide][kFp8ThreadSide]) {
#pragma unroll
  for (int i = 0; i < kFp8ThreadSide; ++i) {
    if constexpr (kPacks) {
      if (r + i < R && c < C) source(r + i, c, x[i]);
    } else {
#pragma unroll
      for (int j = 0; j < kFp8ThreadSide; ++j) {
        float one[1] = {};
        if (r + i < R && c + j < C) source(r + i, c + j, one);
        x[i][j] = one[0];
      }
    }
  }
}

// codes[i][h]: columns 4h to 4h + 3 of row i.
using Fp8Codes = uint32_t[kFp8ThreadSide][2];

// Through shared memory, so that 8 threads write 128 rows of a column as one line.
template <typename Fp8>
__device__ __forceinline__ void StoreFp8Columns(const Fp8Out<Fp8>& out, const Fp8Codes& codes, int64_t first_row,
                                                int64_t first_column, Fp8TileShared& s) {
  const int thread = static_cast<int>(threadIdx.x);
  const int segment = thread % kFp8ThreadsAlong, group = thread / kFp8ThreadsAlong;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    uint32_t upper[4] = {codes[0][h], codes[1][h], codes[2][h], codes[3][h]};
    uint32_t lower[4] = {codes[4][h], codes[5][h], codes[6][h], codes[7][h]};
    TransposeBytes(upper);
    TransposeBytes(lower);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      s.columns[segment * kFp8ThreadSide + 4 * h + j][group ^ segment] = uint64_t{lower[j]} << 32 | upper[j];
    }
  }
  __syncthreads();
  const int pack = thread % 8;
  const int64_t r = first_row + pack * 16;
  for (int i = 0; i < kFp8Block / 32; ++i) {
    const int column = thread / 8 + 32 * i, swizzle = column / kFp8ThreadSide;
    const int64_t c = first_column + column;
    if (c >= out.C) return;
    const Vec16<uint64_t> units = Load16(&s.columns[column][(2 * pack) ^ (swizzle & ~1)]);
    Vec16<uint64_t> in_order;
    in_order[0] = swizzle % 2 == 0 ? units[0] : units[1];
    in_order[1] = swizzle % 2 == 0 ? units[1] : units[0];
    Store16(out.columns + c * out.R + r, BitCast<Vec16<uint8_t>>(in_order), out.R - r);
  }
}

// Memory plan: a block of threads owns a block of the matrix and keeps it in registers, 64 elements a thread, from the source
// to the codes; 16 KiB of shared memory transpose the codes. Traffic: what the source reads, once; a byte written an element
// and direction, in whole lines of 128 bytes; a scale.
template <typename Fp8, bool kPacks, typename Source>
__global__ void __launch_bounds__(kFp8Threads, 2) Fp8TileKernel(const Source source, const Fp8Out<Fp8> out) {
  Fp8TileShared& s = SharedStorage<Fp8TileShared>();
  int64_t column_block = blockIdx.x;
  if constexpr (requires { source.ColumnBlock(column_block); }) column_block = source.ColumnBlock(column_block);
  const int64_t first_row = int64_t{blockIdx.y} * kFp8Block, first_column = column_block * kFp8Block;
  const int64_t r = first_row + threadIdx.x / kFp8ThreadsAlong * kFp8ThreadSide;
  const int64_t c = first_column + threadIdx.x % kFp8ThreadsAlong * kFp8ThreadSide;
  float x[kFp8ThreadSide][kFp8ThreadSide] = {};
  LoadFp8Elements<kPacks>(source, r, c, out.R, out.C, x);
  uint32_t largest = 0;
#pragma unroll
  for (int i = 0; i < kFp8ThreadSide; ++i) {
#pragma unroll
    for (int j = 0; j < kFp8ThreadSide; ++j) largest = Max(largest, BitCast<uint32_t>(x[i][j]) & 0x7FFFFFFFu);
  }
  const float scale = Fp8Scale<Fp8>(LargestOfBlock(largest, s)), inverse = 1.0f / scale;
  if (threadIdx.x == 0) out.scales[int64_t{blockIdx.y} * gridDim.x + column_block] = scale;
  Fp8Codes codes;
#pragma unroll
  for (int i = 0; i < kFp8ThreadSide; ++i) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const float* const four = &x[i][4 * h];
      codes[i][h] = PackFp8x4<Fp8>(four[0] * inverse, four[1] * inverse, four[2] * inverse, four[3] * inverse);
    }
  }
  if (out.rows != nullptr) {
#pragma unroll
    for (int i = 0; i < kFp8ThreadSide; ++i) {
      if (r + i >= out.R) break;
      StoreCodes(out.rows + (r + i) * out.C + c, uint64_t{codes[i][1]} << 32 | codes[i][0], out.C - c);
    }
  }
  if (out.columns != nullptr) StoreFp8Columns(out, codes, first_row, first_column, s);
}

// y = the source's elements. packs: all rows that the source reads begin at multiples of 16 bytes, and its columns come in 8.
template <typename Fp8, typename Source>
void LaunchFp8TilesAs(const Source& source, bool packs, const Fp8Matrix& y, void* stream) {
  const int64_t R = y.R(), C = y.C();
  if (R == 0 || C == 0) return;
  const LaunchConfig config = {.grid = Blocks(Fp8Matrix::Blocks(C), Fp8Matrix::Blocks(R)),
                               .block = Blocks(kFp8Threads),
                               .shared = sizeof(Fp8TileShared),
                               .stream = stream};
  const Fp8Out<Fp8> out = {.rows = reinterpret_cast<uint8_t*>(y.rows.data<Fp8>()),
                           .columns = reinterpret_cast<uint8_t*>(y.columns.data<Fp8>()),
                           .scales = y.scales.data<float>(),
                           .R = R,
                           .C = C};
  if (packs) return Launch(Fp8TileKernel<Fp8, true, Source>, config, source, out);
  Launch(Fp8TileKernel<Fp8, false, Source>, config, source, out);
}
template <typename Source>
void LaunchFp8Tiles(const Source& source, bool packs, const Fp8Matrix& y, void* stream) {
  DispatchFp8(y.dtype(), [&]<typename Fp8>() { LaunchFp8TilesAs<Fp8>(source, packs, y, stream); });
}

// Whether a source may give its elements in packs: its rows, of `width` elements, and these tensors allow it.
inline bool InFp8Packs(int64_t width, std::initializer_list<Tensor> tensors) {
  return width % kFp8ThreadSide == 0 && InPacks(DType::kBf16, width, tensors);
}

}  // namespace ingot
