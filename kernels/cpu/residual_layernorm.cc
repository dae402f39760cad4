#include "kernels/residual_layernorm.h"

#include <cmath>

#include "kernels/checks.h"
#include "kernels/cpu/fp8_blocks.h"
#include "kernels/cpu/rows.h"

namespace ingot {
namespace {

struct Statistics {
  float mean, rstd;
};

// The mean first and the squares about it then: a row with a mean far from 0 keeps its digits. The row is in cache.
Statistics StatisticsOf(const float* x, int64_t C, float eps) {
  float total = 0, squares = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t c = 0; c < C; ++c) total += x[c];
  const float mean = total / static_cast<float>(C);
#pragma omp simd reduction(+ : squares)
  for (int64_t c = 0; c < C; ++c) squares += (x[c] - mean) * (x[c] - mean);
  return {mean, 1.0f / std::sqrt(squares / static_cast<float>(C) + eps)};
}

// One row of backward. `dx` may be `dy` or `dsum`: an element is read before it is written.
void BackwardRow(const float* dy, const float* dsum, const float* x, const float* w, Statistics s, int64_t C, float* dx,
                 float* dw, float* db) {
  float g_sum = 0, gn_sum = 0;
#pragma omp simd reduction(+ : g_sum, gn_sum)
  for (int64_t c = 0; c < C; ++c) {
    const float g = dy[c] * w[c];
    g_sum += g;
    gn_sum += g * ((x[c] - s.mean) * s.rstd);
  }
  const float g_mean = g_sum / static_cast<float>(C), gn_mean = gn_sum / static_cast<float>(C);
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) {
    const float d = dy[c], n = (x[c] - s.mean) * s.rstd, straight = dsum != nullptr ? dsum[c] : 0.0f;
    dw[c] += d * n;
    db[c] += d;
    dx[c] = straight + s.rstd * (d * w[c] - g_mean - n * gn_mean);
  }
}

}  // namespace

int64_t ResidualLayerNormForward::ScratchBytes() const { return BandBytes(x.dim(0), x.dim(1), y); }

void ResidualLayerNormForward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {x, residual, w, b, sum, y, y8.rows, y8.columns, y8.scales, mean, rstd});
  const int64_t R = x.dim(0), C = x.dim(1);
  const float *const in = x.data<float>(), *const added = residual.data<float>();
  const float *const weights = w.data<float>(), *const bias = b.data<float>();
  float *const sums = sum.data<float>(), *const means = mean.data<float>(), *const rstds = rstd.data<float>();
  MakeRows(ctx, R, C, y, y8, [&](int64_t first, int64_t rows, float* out) {
#pragma omp parallel for if (WorthThreads(rows * C))
    for (int64_t r = first; r < first + rows; ++r) {
      const float* row = in + r * C;
      if (added != nullptr) {
        float* const sum_row = sums + r * C;
#pragma omp simd
        for (int64_t c = 0; c < C; ++c) sum_row[c] = row[c] + added[r * C + c];
        row = sum_row;
      }
      const Statistics s = StatisticsOf(row, C, eps);
      means[r] = s.mean;
      rstds[r] = s.rstd;
      float* const out_row = out + (r - first) * C;
#pragma omp simd
      for (int64_t c = 0; c < C; ++c) out_row[c] = (row[c] - s.mean) * s.rstd * weights[c] + bias[c];
    }
  });
}

int64_t ResidualLayerNormBackward::ScratchBytes() const {
  return Context::ScratchFor<float>(RowBlocks(dy.dim(0)).count * 2 * dy.dim(1));
}

void ResidualLayerNormBackward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {dy, dsum, x, w, mean, rstd, dx, dw, db});
  const int64_t R = dy.dim(0), C = dy.dim(1);
  const float *const dout = dy.data<float>(), *const straight = dsum.data<float>(), *const in = x.data<float>();
  const float* const weights = w.data<float>();
  const float *const means = mean.data<float>(), *const rstds = rstd.data<float>();
  float* const din = dx.data<float>();
  const Pieces blocks = RowBlocks(R);
  float* const partials = ctx.Scratch<float>(blocks.count * 2 * C);  // of dw, then of db, a block after the other
#pragma omp parallel for if (WorthThreads(R * C))
  for (int64_t block = 0; block < blocks.count; ++block) {
    float* const dw_block = partials + block * 2 * C;
    std::fill_n(dw_block, 2 * C, 0.0f);
    for (int64_t r = blocks.begin(block); r < blocks.begin(block) + blocks.length(block); ++r) {
      const int64_t i = r * C;
      BackwardRow(dout + i, straight == nullptr ? nullptr : straight + i, in + i, weights, {means[r], rstds[r]}, C,
                  din + i, dw_block, dw_block + C);
    }
  }
  AddPartials(partials, blocks.count, 2 * C, C, dw.data<float>());
  AddPartials(partials + C, blocks.count, 2 * C, C, db.data<float>());
}

}  // namespace ingot
