#pragma once
// Kernels whose block holds whole rows of C channels in registers, up to kPacks packs a thread: a thread owns the packs
// threadIdx.x + p * blockDim.x of each row.
#include <cstdint>

#include "kernels/cuda/packs.cuh"

namespace ingot {

template <int kWidth>
__device__ __forceinline__ int64_t MyChannel(int p) {
  return (int64_t{p} * blockDim.x + threadIdx.x) * kWidth;
}

struct WarpSums {
  float of_warp[32];
};

// One pack at element `at`: values = x + residual, rounded as it is stored, and stored to `sum`; without a residual (null)
// values = x.
template <typename Scalar, int kWidth>
__device__ __forceinline__ void LoadSum(const Scalar* x, const Scalar* residual, Scalar* sum, int64_t at,
                                        float (&values)[kWidth]) {
  LoadFloats(x + at, values);
  if (residual == nullptr) return;
  float added[kWidth];
  LoadFloats(residual + at, added);
  for (int i = 0; i < kWidth; ++i) values[i] = Rounded<Scalar>(values[i] + added[i]);
  StoreFloats(sum + at, values);
}

// Calls f.operator()<Scalar, kWidth, kPacks, kThreads>(threads) with threads <= kThreads, a multiple of 32, whose packs
// hold a row of C channels.
template <typename F>
void DispatchRowBlocks(const char* op, DType dtype, bool in_packs, int64_t C, F&& f) {
  DispatchPacks(dtype, in_packs, [&]<typename Scalar, int kWidth>() {
    const int64_t packs = CeilDivide(C, kWidth), threads = CeilDivide(packs, 32) * 32;
    const int64_t threads_of_4 = CeilDivide(packs, 4 * 32) * 32;
    if (threads <= 256) return f.template operator()<Scalar, kWidth, 1, 256>(threads);
    if (threads_of_4 <= 256) return f.template operator()<Scalar, kWidth, 4, 256>(threads_of_4);
    INGOT_CHECK(threads_of_4 <= 1024, "%s: rows of %lld channels; the CUDA kernel holds %d of this type and alignment",
                op, static_cast<long long>(C), 4096 * kWidth);
    f.template operator()<Scalar, kWidth, 4, 1024>(threads_of_4);
  });
}

// Rows that a block of a backward sums into one row of partial sums. The cut follows from R alone.
inline constexpr int64_t kRowsOfBlock = 16;

}  // namespace ingot
