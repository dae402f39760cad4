#pragma once
// Sums over rows in an order that no number of threads changes: fixed blocks of rows, each summed by one thread into
// its own stretch of scratch, then folded in ascending order.
#include <algorithm>
#include <cstdint>

namespace ingot {

constexpr int64_t kRowsPerBlock = 64;         // of one chain of additions; enough blocks for many threads at R = 1024
constexpr int64_t kParallelElements = 16384;  // below this an OpenMP region costs more than it gains

inline int64_t RowBlocks(int64_t R) { return (R + kRowsPerBlock - 1) / kRowsPerBlock; }

// total[c] += sum over blocks of partial[block * C + c], in ascending order of blocks.
inline void FoldBlocks(const float* partial, int64_t blocks, int64_t C, float* total) {
  constexpr int64_t kColumns = 256;
#pragma omp parallel for if (blocks * C > kParallelElements)
  for (int64_t begin = 0; begin < C; begin += kColumns) {
    const int64_t columns = std::min(kColumns, C - begin);
    float sums[kColumns] = {};
    for (int64_t block = 0; block < blocks; ++block) {
      for (int64_t c = 0; c < columns; ++c) sums[c] += partial[block * C + begin + c];
    }
    for (int64_t c = 0; c < columns; ++c) total[begin + c] += sums[c];
  }
}

}  // namespace ingot
