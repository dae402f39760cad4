#include "kernels/cpu/attention_tile.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/cpu/blas.h"
#include "kernels/cpu/vector_loops.h"
#include "kernels/cpu/vector_math.h"

namespace ingot {
namespace {

// State of the online softmax of one query row.
struct Row {
  float max = -std::numeric_limits<float>::infinity();
  float sum = 0;
};

// Turns scores x[0, n), of which [low, high) are seen, into weights relative to the row's new maximum. Returns the
// factor that brings what was summed before to that maximum.
float Soften(float* x, int64_t n, int64_t low, int64_t high, Row& row) {
  if (low >= high) {
    std::fill(x, x + n, 0.0f);
    return 1;
  }
  const float max = std::max(row.max, MaxOf(x + low, high - low));
  const float factor = Exp(row.max - max);
  std::fill(x, x + low, 0.0f);
  row.sum = row.sum * factor + ExpInPlace(x + low, high - low, max);
  row.max = max;
  std::fill(x + high, x + n, 0.0f);
  return factor;
}

}  // namespace

void Attend(const AttentionTile& tile, float* scores, float* lse) {
  const int64_t rows = tile.rows, D = tile.D, first = tile.begin[0], last = tile.end[rows - 1];
  Row state[kTileQueries];
  for (int64_t s = first; s < last; s += kTileKeys) {
    const int64_t keys = std::min(kTileKeys, last - s);
    Sgemm(false, true, rows, keys, D, tile.scale, tile.q, D, tile.k + s * D, D, 0, scores, kTileStride);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t low = std::clamp<int64_t>(tile.begin[r] - s, 0, keys);
      const int64_t high = std::clamp<int64_t>(tile.end[r] - s, 0, keys);
      const float factor = Soften(scores + r * kTileStride, keys, low, high, state[r]);
      if (s == first || factor == 1.0f) continue;
      for (int64_t d = 0; d < D; ++d) tile.y[r * tile.stride_y + d] *= factor;
    }
    Sgemm(false, false, rows, D, keys, 1, scores, kTileStride, tile.v + s * D, D, s == first ? 0.0f : 1.0f, tile.y,
          tile.stride_y);
  }
  for (int64_t r = 0; r < rows; ++r) {
    const float inverse = 1.0f / state[r].sum;
    for (int64_t d = 0; d < D; ++d) tile.y[r * tile.stride_y + d] *= inverse;
    if (lse != nullptr) lse[r] = state[r].max + std::log(state[r].sum);
  }
}

}  // namespace ingot
