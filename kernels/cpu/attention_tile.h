#pragma once
// The part that attention in training and in generation share: one tile of queries against its keys.
#include <cstdint>

namespace ingot {

// Sizes of a tile, found by measurement (Zen 5, D = 64, T = 256 and 1,024): queries few enough that little is computed
// above the diagonal, keys so many that the products run near their peak while scores stay in the second-level cache.
inline constexpr int64_t kTileQueries = 64;
inline constexpr int64_t kTileKeys = 512;
inline constexpr int64_t kTileStride = kTileKeys + 16;  // rows of scores fall on different cache sets

// Query row r sees keys s with begin[r] <= s < end[r]; neither falls along r, and begin[r] < end[r].
struct AttentionTile {
  int64_t rows;  // at most kTileQueries
  int64_t D;
  const float* q;  // (rows, D)
  const float* k;  // (keys, D)
  const float* v;  // (keys, D)
  float* y;        // (rows, D), stride_y elements from row to row  =
  int64_t stride_y;
  float scale;
  int64_t begin[kTileQueries];
  int64_t end[kTileQueries];
};

//   y[r,:] = sum_s softmax(scale * q[r,:] . k[s,:])[s] * v[s,:];   lse[r], if not null: log sum exp of the scores
// `scores` is scratch of kTileQueries * kTileStride. To be called inside an OpenMP parallel region (see blas.h).
void Attend(const AttentionTile& tile, float* scores, float* lse);

}  // namespace ingot
