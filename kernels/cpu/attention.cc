#include "kernels/attention.h"

#include <omp.h>

#include <algorithm>
#include <cmath>

#include "kernels/checks.h"
#include "kernels/cpu/attention_tile.h"
#include "kernels/cpu/blas.h"
#include "kernels/cpu/panels.h"
#include "kernels/cpu/vector_loops.h"

namespace ingot {
namespace {

constexpr int64_t kTile = kTileQueries * kTileStride;

float ScaleOr(float scale, int64_t D) { return scale != 0 ? scale : 1 / std::sqrt(static_cast<float>(D)); }

}  // namespace

int64_t AttentionForward::ScratchBytes() const { return Context::ScratchFor<float>(omp_get_max_threads() * kTile); }

void AttentionForward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {q, k, v, document_start, y, lse});
  const int64_t B = q.dim(0), H = q.dim(1), T = q.dim(2), D = q.dim(3), K = k.dim(1);
  const int32_t* const starts = document_start.data<int32_t>();
  float* const scores = ctx.Scratch<float>(omp_get_max_threads() * kTile);
  const int64_t tiles = (T + kTileQueries - 1) / kTileQueries;
  // The tiles with the most keys come first: the short ones fill the end evenly.
#pragma omp parallel for schedule(dynamic)
  for (int64_t task = 0; task < tiles * B * H; ++task) {
    const int64_t bh = task % (B * H), b = bh / H, h = bh % H, bk = b * K + h * K / H;
    const int64_t t = (tiles - 1 - task / (B * H)) * kTileQueries;
    AttentionTile tile = {.rows = std::min(kTileQueries, T - t),
                          .D = D,
                          .q = q.data<float>() + (bh * T + t) * D,
                          .k = k.data<float>() + bk * T * D,
                          .v = v.data<float>() + bk * T * D,
                          .y = y.data<float>() + ((b * T + t) * H + h) * D,
                          .stride_y = H * D,
                          .scale = ScaleOr(scale, D),
                          .begin = {},
                          .end = {}};
    for (int64_t r = 0; r < tile.rows; ++r) {
      tile.begin[r] = starts == nullptr ? 0 : starts[b * T + t + r];
      tile.end[r] = t + r + 1;
    }
    Attend(tile, scores + omp_get_thread_num() * kTile, lse.data<float>() + bh * T + t);
  }
}

namespace {

// Backward makes one pass over the tiles: task (b, k, lane) owns the key tiles lane, lane + lanes, ... of one key head,
// whose dk and dv it writes alone; its share of dq goes to a buffer of the lane. Lane 0 writes dq itself, the others
// are added in order afterwards. The number of lanes comes from the shape: enough tasks for many threads.
constexpr int64_t kBackwardKeys = 256;
constexpr int64_t kBackwardQueries = 128;
constexpr int64_t kDiagonalQueries = 64;  // finer steps where the diagonal runs: less is computed above it
constexpr int64_t kBackwardStride = kBackwardKeys + 16;
constexpr int64_t kBackwardTile = kBackwardQueries * kBackwardStride;
constexpr int64_t kEnoughTasks = 32;
constexpr int64_t kMostLanes = 8;

int64_t Lanes(int64_t B, int64_t K, int64_t T) {
  const int64_t tiles = (T + kBackwardKeys - 1) / kBackwardKeys, wanted = (kEnoughTasks + B * K - 1) / (B * K);
  return std::clamp<int64_t>(std::min(wanted, tiles), 1, kMostLanes);
}

// For one row: scores become P = exp(S - lse), dp becomes dS = P * (dP - delta); both 0 outside [low, high).
void SoftenBackward(float* scores, float* dp, int64_t n, int64_t low, int64_t high, float lse, float delta) {
  std::fill(scores, scores + low, 0.0f);
  std::fill(dp, dp + low, 0.0f);
  SoftmaxBackward(scores + low, dp + low, high - low, lse, delta);
  std::fill(scores + high, scores + n, 0.0f);
  std::fill(dp + high, dp + n, 0.0f);
}

// One head of one sequence, and the gradients one lane adds to.
struct HeadBackward {
  int64_t T, D, stride_y;
  const float *dy, *q, *k, *v, *lse, *delta;
  const int32_t* starts;  // (T), or null
  float *dq, *dk, *dv;
  float scale;
  float *scores, *dp;  // scratch, kBackwardTile each

  // Queries [t, t + rows) against keys from `key` to `key_end`, less those none of them sees.
  void Step(int64_t t, int64_t rows, int64_t key, int64_t key_end) const {
    const int64_t s = starts == nullptr ? key : std::max<int64_t>(key, starts[t]);
    const int64_t keys = std::min(key_end, t + rows) - s;
    if (keys <= 0) return;
    Sgemm(false, true, rows, keys, D, scale, q + t * D, D, k + s * D, D, 0, scores, kBackwardStride);
    Sgemm(false, true, rows, keys, D, 1, dy + t * stride_y, stride_y, v + s * D, D, 0, dp, kBackwardStride);
    for (int64_t r = 0; r < rows; ++r) {
      const int64_t begin = starts == nullptr ? 0 : starts[t + r];
      const int64_t high = std::min(keys, t + r + 1 - s), low = std::clamp<int64_t>(begin - s, 0, high);
      SoftenBackward(scores + r * kBackwardStride, dp + r * kBackwardStride, keys, low, high, lse[t + r], delta[t + r]);
    }
    Sgemm(true, false, keys, D, rows, 1, scores, kBackwardStride, dy + t * stride_y, stride_y, 1, dv + s * D, D);
    Sgemm(true, false, keys, D, rows, scale, dp, kBackwardStride, q + t * D, D, 1, dk + s * D, D);
    Sgemm(false, false, rows, D, keys, scale, dp, kBackwardStride, k + s * D, D, 1, dq + t * D, D);
  }

  void KeyTile(int64_t key) const {
    const int64_t key_end = std::min(key + kBackwardKeys, T);
    for (int64_t t = key; t < T;) {
      const int64_t rows = std::min(t < key_end ? std::min(kDiagonalQueries, key_end - t) : kBackwardQueries, T - t);
      if (starts != nullptr && starts[t] >= key_end) break;  // later queries begin later still
      Step(t, rows, key, key_end);
      t += rows;
    }
  }
};

// delta[b,h,t] = sum_d dy[b,t,h,d] * y[b,t,h,d]
void Deltas(const AttentionBackward& op, float* delta) {
  const int64_t B = op.q.dim(0), H = op.q.dim(1), T = op.q.dim(2), D = op.q.dim(3);
  const float *const dy = op.dy.data<float>(), *const y = op.y.data<float>();
#pragma omp parallel for
  for (int64_t row = 0; row < B * T; ++row) {
    for (int64_t h = 0; h < H; ++h) {
      const int64_t offset = (row * H + h) * D;
      delta[(row / T * H + h) * T + row % T] = Dot(dy + offset, y + offset, D);
    }
  }
}

}  // namespace

int64_t AttentionBackward::ScratchBytes() const {
  const int64_t lanes = Lanes(q.dim(0), k.dim(1), q.dim(2));
  return Context::ScratchFor<float>(Count(lse)) + Context::ScratchFor<float>((lanes - 1) * Count(q)) +
         Context::ScratchFor<float>(omp_get_max_threads() * 2 * kBackwardTile);
}

void AttentionBackward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {dy, q, k, v, document_start, y, lse, dq, dk, dv});
  const int64_t B = q.dim(0), H = q.dim(1), T = q.dim(2), D = q.dim(3), K = k.dim(1), lanes = Lanes(B, K, T);
  float* const delta = ctx.Scratch<float>(Count(lse));
  float* const dq_lanes = ctx.Scratch<float>((lanes - 1) * Count(q));
  float* const tiles = ctx.Scratch<float>(omp_get_max_threads() * 2 * kBackwardTile);
  Deltas(*this, delta);
#pragma omp parallel for schedule(dynamic)
  for (int64_t task = 0; task < lanes * B * K; ++task) {
    const int64_t lane = task / (B * K), bk = task % (B * K), b = bk / K, group = H / K;
    float* const scores = tiles + omp_get_thread_num() * 2 * kBackwardTile;
    for (int64_t bh = bk * group; bh < (bk + 1) * group; ++bh) {
      const int64_t h = bh % H, y_offset = (b * T * H + h) * D;
      const HeadBackward head = {.T = T,
                                 .D = D,
                                 .stride_y = H * D,
                                 .dy = dy.data<float>() + y_offset,
                                 .q = q.data<float>() + bh * T * D,
                                 .k = k.data<float>() + bk * T * D,
                                 .v = v.data<float>() + bk * T * D,
                                 .lse = lse.data<float>() + bh * T,
                                 .delta = delta + bh * T,
                                 .starts = document_start.absent() ? nullptr : document_start.data<int32_t>() + b * T,
                                 .dq = (lane == 0 ? dq.data<float>() : dq_lanes + (lane - 1) * Count(q)) + bh * T * D,
                                 .dk = dk.data<float>() + bk * T * D,
                                 .dv = dv.data<float>() + bk * T * D,
                                 .scale = ScaleOr(scale, D),
                                 .scores = scores,
                                 .dp = scores + kBackwardTile};
      std::fill(head.dq, head.dq + T * D, 0.0f);
      for (int64_t key = lane * kBackwardKeys; key < T; key += lanes * kBackwardKeys) {
        const int64_t elements = std::min(kBackwardKeys, T - key) * D;
        if (bh == bk * group) std::fill(head.dk + key * D, head.dk + key * D + elements, 0.0f);
        if (bh == bk * group) std::fill(head.dv + key * D, head.dv + key * D + elements, 0.0f);
        head.KeyTile(key);
      }
    }
  }
  if (lanes == 1) return;
  float* const sum = dq.data<float>();
#pragma omp parallel for
  for (int64_t n = 0; n < Count(q); ++n) {
    for (int64_t lane = 1; lane < lanes; ++lane) sum[n] += dq_lanes[(lane - 1) * Count(q) + n];
  }
}

}  // namespace ingot
