#include "kernels/cached_attention.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/checks.h"
#include "kernels/cpu/attention_tile.h"

namespace ingot {
namespace {

constexpr int64_t kTile = kTileQueries * kTileStride;

void Append(const CachedAttention& op, int64_t head) {
  const int64_t N = op.q.dim(1), D = op.q.dim(2), P = op.k_cache.dim(1), to = (head * P + op.past) * D;
  const float *const k = op.k_new.data<float>() + head * N * D, *const v = op.v_new.data<float>() + head * N * D;
  std::copy(k, k + N * D, op.k_cache.data<float>() + to);
  std::copy(v, v + N * D, op.v_cache.data<float>() + to);
}

}  // namespace

int64_t CachedAttention::ScratchBytes() const { return Context::ScratchFor<float>(omp_get_max_threads() * kTile); }

void CachedAttention::OnCpu(Context& ctx) const {
  CheckMemory(kName, {q, k_new, v_new, k_cache, v_cache, y});
  const int64_t H = q.dim(0), N = q.dim(1), D = q.dim(2), K = k_new.dim(0), P = k_cache.dim(1), group = H / K;
  float* const scores = ctx.Scratch<float>(omp_get_max_threads() * kTile);
  // A run is what one key head's queries make as rows behind each other: the N queries of each head or, for one new
  // token, that token's `group` heads, which see the same keys.
  const int64_t runs = N == 1 ? 1 : group, length = N == 1 ? group : N;
  const int64_t pieces = (length + kTileQueries - 1) / kTileQueries;
#pragma omp parallel
  {
#pragma omp for
    for (int64_t head = 0; head < K; ++head) Append(*this, head);
#pragma omp for schedule(dynamic)
    for (int64_t task = 0; task < pieces * K * runs; ++task) {
      const int64_t run = task % (K * runs), first = (pieces - 1 - task / (K * runs)) * kTileQueries;
      const int64_t head = run / runs;
      AttentionTile tile = {.rows = std::min(kTileQueries, length - first),
                            .D = D,
                            .q = q.data<float>() + (run * length + first) * D,
                            .k = k_cache.data<float>() + head * P * D,
                            .v = v_cache.data<float>() + head * P * D,
                            .y = y.data<float>() + (N == 1 ? run * length + first : first * H + run) * D,
                            .stride_y = N == 1 ? D : H * D,
                            .scale = scale != 0 ? scale : 1 / std::sqrt(static_cast<float>(D)),
                            .begin = {},
                            .end = {}};
      for (int64_t r = 0; r < tile.rows; ++r) tile.end[r] = past + (N == 1 ? 0 : first + r) + 1;
      Attend(tile, scores + omp_get_thread_num() * kTile, nullptr);
    }
  }
}

}  // namespace ingot
