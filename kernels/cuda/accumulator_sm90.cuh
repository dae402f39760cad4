#pragma once
// What a thread holds of the accumulator of wgmma, and how it goes to memory.
#include "kernels/cuda/device.cuh"

namespace ingot {

// Which of a warpgroup's 64 rows from m on a thread's sums belong to: `row` and `row` + 8, and of each group of 8 columns
// `column` and `column` + 1.
struct Fragment {
  int64_t row;
  int column;
  __device__ __forceinline__ Fragment(int64_t m, int thread)
      : row(m + thread / 32 * 16 + thread % 32 / 4), column(thread % 4 * 2) {}
};

// value(i) for sums i = 0 .. kRegisters - 1 to the rows of c, rounded to bf16. Four neighbouring lanes hold 8 columns of four
// groups in pairs; they exchange them, so that each has the 16 bytes of one group.
template <int kRegisters, typename Value>
__device__ __forceinline__ void StoreRounded(Bf16* c, int64_t stride, int64_t M, int64_t N, int64_t n,
                                             const Fragment& at, const Value& value) {
  const int t = at.column / 2;
#pragma unroll
  for (int i = 0; i < kRegisters; i += 16) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      // Pair j of lane t changes places with pair t of lane j: with the lane beside, then with the one two further.
      uint32_t pair[4], mine[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) pair[j] = PackBf16x2(value(i + 4 * j + 2 * h), value(i + 4 * j + 2 * h + 1));
#pragma unroll
      for (int j = 0; j < 4; j += 2) {
        const uint32_t got = __shfl_xor_sync(kAllLanes, t % 2 == 0 ? pair[j + 1] : pair[j], 1);
        mine[j] = t % 2 == 0 ? pair[j] : got;
        mine[j + 1] = t % 2 == 0 ? got : pair[j + 1];
      }
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const uint32_t got = __shfl_xor_sync(kAllLanes, t < 2 ? mine[j + 2] : mine[j], 2);
        pair[j] = t < 2 ? mine[j] : got;
        pair[j + 2] = t < 2 ? got : mine[j + 2];
      }
      __syncwarp();  // value() may have read what another lane stores here
      const int64_t row = at.row + 8 * h, column = n + i / 16 * 32 + 8 * t;
      if (row < M) Store16(c + row * stride + column, BitCast<Vec16<Bf16>>(pair), N - column);
    }
  }
}

}  // namespace ingot
