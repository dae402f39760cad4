#include "kernels/residual_layernorm.h"

#include <cmath>

#include "kernels/cpu/row_blocks.h"

namespace ingot {

void ResidualLayerNormForward::OnCpu(Context&) const {
  const int64_t R = x.dim(0), C = x.dim(1);
  const float *const in = x.data<float>(), *const added = residual.data<float>();
  const float *const weights = w.data<float>(), *const bias = b.data<float>();
  float *const sums = sum.data<float>(), *const out = y.data<float>();
#pragma omp parallel for if (R * C > kParallelElements)
  for (int64_t r = 0; r < R; ++r) {
    const float* row = in + r * C;
    if (added != nullptr) {
      float* const total = sums + r * C;
      for (int64_t c = 0; c < C; ++c) total[c] = row[c] + added[r * C + c];
      row = total;
    }
    float total = 0, squares = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t c = 0; c < C; ++c) total += row[c];
    const float average = total / static_cast<float>(C);
    // A second pass over a row in cache: sum of x^2 minus the mean's square would cancel.
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < C; ++c) squares += (row[c] - average) * (row[c] - average);
    const float scale = 1.0f / std::sqrt(squares / static_cast<float>(C) + eps);
    for (int64_t c = 0; c < C; ++c) out[r * C + c] = (row[c] - average) * scale * weights[c] + bias[c];
    mean.data<float>()[r] = average;
    rstd.data<float>()[r] = scale;
  }
}

namespace {

// One row: dx written, its share of dw and db added.
void BackwardRow(const float* dy, const float* dsum, const float* x, const float* w, float mean, float rstd, int64_t C,
                 float* dx, float* dw, float* db) {
  float sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
  for (int64_t c = 0; c < C; ++c) {
    const float g = dy[c] * w[c];
    sum += g;
    dot += g * ((x[c] - mean) * rstd);
  }
  const float mean_g = sum / static_cast<float>(C), mean_gn = dot / static_cast<float>(C);
  for (int64_t c = 0; c < C; ++c) {
    const float n = (x[c] - mean) * rstd;
    dw[c] += dy[c] * n;
    db[c] += dy[c];
    const float own = rstd * (dy[c] * w[c] - mean_g - n * mean_gn);
    dx[c] = dsum == nullptr ? own : dsum[c] + own;
  }
}

}  // namespace

void ResidualLayerNormBackward::OnCpu(Context& ctx) const {
  const int64_t R = dy.dim(0), C = dy.dim(1), blocks = RowBlocks(R);
  const float* const other = dsum.data<float>();
  float *const dweights = ctx.Scratch<float>(blocks * C), *const dbiases = ctx.Scratch<float>(blocks * C);
#pragma omp parallel for if (R * C > kParallelElements)
  for (int64_t block = 0; block < blocks; ++block) {
    std::fill(dweights + block * C, dweights + (block + 1) * C, 0.0f);
    std::fill(dbiases + block * C, dbiases + (block + 1) * C, 0.0f);
    for (int64_t r = block * kRowsPerBlock; r < std::min((block + 1) * kRowsPerBlock, R); ++r) {
      BackwardRow(dy.data<float>() + r * C, other == nullptr ? nullptr : other + r * C, x.data<float>() + r * C,
                  w.data<float>(), mean.data<float>()[r], rstd.data<float>()[r], C, dx.data<float>() + r * C,
                  dweights + block * C, dbiases + block * C);
    }
  }
  FoldBlocks(dweights, blocks, C, dw.data<float>());
  FoldBlocks(dbiases, blocks, C, db.data<float>());
}

}  // namespace ingot
