#include "kernels/residual_rmsnorm.h"

#include <cmath>

#include "kernels/cpu/row_blocks.h"

namespace ingot {

void ResidualRmsNormForward::OnCpu(Context&) const {
  const int64_t R = x.dim(0), C = x.dim(1);
  const float *const in = x.data<float>(), *const added = residual.data<float>(), *const weights = w.data<float>();
  float *const sums = sum.data<float>(), *const out = y.data<float>(), *const rstds = rstd.data<float>();
#pragma omp parallel for if (R * C > kParallelElements)
  for (int64_t r = 0; r < R; ++r) {
    const float* row = in + r * C;
    if (added != nullptr) {
      float* const total = sums + r * C;
      for (int64_t c = 0; c < C; ++c) total[c] = row[c] + added[r * C + c];
      row = total;
    }
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < C; ++c) squares += row[c] * row[c];
    const float scale = 1.0f / std::sqrt(squares / static_cast<float>(C) + eps);
    for (int64_t c = 0; c < C; ++c) out[r * C + c] = row[c] * scale * weights[c];
    rstds[r] = scale;
  }
}

void ResidualRmsNormBackward::OnCpu(Context& ctx) const {
  const int64_t R = dy.dim(0), C = dy.dim(1), blocks = RowBlocks(R);
  const float *const dout = dy.data<float>(), *const other = dsum.data<float>(), *const in = x.data<float>();
  const float *const weights = w.data<float>(), *const rstds = rstd.data<float>();
  float *const din = dx.data<float>(), *const partial = ctx.Scratch<float>(blocks * C);
#pragma omp parallel for if (R * C > kParallelElements)
  for (int64_t block = 0; block < blocks; ++block) {
    float* const dweights = partial + block * C;
    std::fill(dweights, dweights + C, 0.0f);
    for (int64_t r = block * kRowsPerBlock; r < std::min((block + 1) * kRowsPerBlock, R); ++r) {
      const float *const g = dout + r * C, *const row = in + r * C;
      const float scale = rstds[r];
      float dot = 0;
#pragma omp simd reduction(+ : dot)
      for (int64_t c = 0; c < C; ++c) dot += g[c] * weights[c] * row[c];
      const float pull = dot / static_cast<float>(C) * scale * scale;
      for (int64_t c = 0; c < C; ++c) {
        dweights[c] += g[c] * row[c] * scale;
        const float own = scale * (g[c] * weights[c] - row[c] * pull);
        din[r * C + c] = other == nullptr ? own : other[r * C + c] + own;
      }
    }
  }
  FoldBlocks(partial, blocks, C, dw.data<float>());
}

}  // namespace ingot
