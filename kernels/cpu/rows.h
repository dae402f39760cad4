#pragma once
// What ops that work row by row share: when threads are worth waking, and sums over rows whose bits do not depend on
// the number of threads.
#include <algorithm>
#include <cstdint>

#include "core/base/tensor.h"
#include "kernels/cpu/panels.h"

namespace ingot {

// Waking the threads costs a few microseconds, about what one thread needs for this many elements.
inline bool WorthThreads(int64_t elements) { return elements >= 16384; }

// Rows in blocks, one partial sum each: the cut follows from R alone, and no chain in fp32 is longer than a block.
inline Pieces RowBlocks(int64_t R) {
  constexpr int64_t kRows = 32;
  return {R, kRows, (R + kRows - 1) / kRows};
}

// out[n] += sum_i partials[i * stride + n] for n < N, over i < count in ascending order, in double.
inline void AddPartials(const float* partials, int64_t count, int64_t stride, int64_t N, float* out) {
  constexpr int64_t kColumns = 128;  // of one thread: 1 KiB of sums
#pragma omp parallel for if (WorthThreads(count * N))
  for (int64_t begin = 0; begin < N; begin += kColumns) {
    double sums[kColumns] = {};
    const int64_t columns = std::min(kColumns, N - begin);
    for (int64_t i = 0; i < count; ++i) {
      const float* const row = partials + i * stride + begin;
      for (int64_t n = 0; n < columns; ++n) sums[n] += static_cast<double>(row[n]);
    }
    for (int64_t n = 0; n < columns; ++n) {
      out[begin + n] = static_cast<float>(static_cast<double>(out[begin + n]) + sums[n]);
    }
  }
}

// Refuses indices outside [0, end): they would be read and written elsewhere.
inline void CheckIndices(const char* op, const Tensor& indices, int64_t end) {
  const int32_t* const index = indices.data<int32_t>();
  const int64_t N = Count(indices);
  int32_t low = 0, high = 0;
#pragma omp simd reduction(min : low) reduction(max : high)
  for (int64_t n = 0; n < N; ++n) {
    low = std::min(low, index[n]);
    high = std::max(high, index[n]);
  }
  INGOT_CHECK(low >= 0 && high < end, "%s: indices reach from %d to %d; they must lie in [0, %lld)", op, low, high,
              static_cast<long long>(end));
}

}  // namespace ingot
