#pragma once
// What the backward kernels of attention share.
#include "kernels/cuda/attention_args.h"
#include "kernels/cuda/device.cuh"

namespace ingot {

// The probability of a pair of a query and a key whose score is s before it is scaled.
__device__ __forceinline__ float Probability(float s, bool visible, float scale_log2, float lse_log2) {
  return visible ? Exp2(s * scale_log2 - lse_log2) : 0.0f;
}

// The number of tiles of kRows queries from `begin` on that see a key at or before last_key: the first row of each decides,
// since document starts do not fall. Tile `begin` holds a key of the caller's.
template <int kRows>
__device__ __forceinline__ int VisibleTiles(const int32_t* starts, int begin, int end, int last_key) {
  if (starts == nullptr) return end - begin;
  int low = begin, high = end;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (starts[middle * kRows] <= last_key ? low : high) = middle;
  }
  return high - begin;
}

}  // namespace ingot
