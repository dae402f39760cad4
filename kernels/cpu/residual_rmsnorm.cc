#include "kernels/residual_rmsnorm.h"

#include <cmath>

#include "kernels/checks.h"
#include "kernels/cpu/fp8_blocks.h"
#include "kernels/cpu/rows.h"

namespace ingot {
namespace {

// One row of forward: writes `sum` if there is a residual, and y. Returns rstd.
float ForwardRow(const float* x, const float* residual, const float* w, int64_t C, float eps, float* sum, float* y) {
  float squares = 0;
  if (residual != nullptr) {
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < C; ++c) {
      sum[c] = x[c] + residual[c];
      squares += sum[c] * sum[c];
    }
    x = sum;
  } else {
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < C; ++c) squares += x[c] * x[c];
  }
  const float rstd = 1.0f / std::sqrt(squares / static_cast<float>(C) + eps);
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) y[c] = x[c] * rstd * w[c];
  return rstd;
}

// One row of backward. `dx` may be `dy` or `dsum`: an element is read before it is written.
void BackwardRow(const float* dy, const float* dsum, const float* x, const float* w, float rstd, int64_t C, float* dx,
                 float* dw) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (int64_t c = 0; c < C; ++c) dot += dy[c] * w[c] * x[c];
  const float pull = dot / static_cast<float>(C) * rstd * rstd;
#pragma omp simd
  for (int64_t c = 0; c < C; ++c) {
    const float d = dy[c], straight = dsum != nullptr ? dsum[c] : 0.0f;
    dw[c] += d * x[c] * rstd;
    dx[c] = straight + rstd * (d * w[c] - x[c] * pull);
  }
}

}  // namespace

int64_t ResidualRmsNormForward::ScratchBytes() const { return BandBytes(x.dim(0), x.dim(1), y); }

void ResidualRmsNormForward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {x, residual, w, sum, y, y8.rows, y8.columns, y8.scales, rstd});
  const int64_t R = x.dim(0), C = x.dim(1);
  const float *const in = x.data<float>(), *const added = residual.data<float>(), *const weights = w.data<float>();
  float *const sums = sum.data<float>(), *const rstds = rstd.data<float>();
  MakeRows(ctx, R, C, y, y8, [&](int64_t first, int64_t rows, float* out) {
#pragma omp parallel for if (WorthThreads(rows * C))
    for (int64_t r = first; r < first + rows; ++r) {
      const int64_t i = r * C;
      float* const out_row = out + (r - first) * C;
      rstds[r] = added == nullptr ? ForwardRow(in + i, nullptr, weights, C, eps, nullptr, out_row)
                                  : ForwardRow(in + i, added + i, weights, C, eps, sums + i, out_row);
    }
  });
}

int64_t ResidualRmsNormBackward::ScratchBytes() const {
  return Context::ScratchFor<float>(RowBlocks(dy.dim(0)).count * dy.dim(1));
}

void ResidualRmsNormBackward::OnCpu(Context& ctx) const {
  CheckMemory(kName, {dy, dsum, x, w, rstd, dx, dw});
  const int64_t R = dy.dim(0), C = dy.dim(1);
  const float *const dout = dy.data<float>(), *const straight = dsum.data<float>(), *const in = x.data<float>();
  const float *const weights = w.data<float>(), *const rstds = rstd.data<float>();
  float* const din = dx.data<float>();
  const Pieces blocks = RowBlocks(R);
  float* const partials = ctx.Scratch<float>(blocks.count * C);
#pragma omp parallel for if (WorthThreads(R * C))
  for (int64_t block = 0; block < blocks.count; ++block) {
    float* const dw_block = partials + block * C;
    std::fill_n(dw_block, C, 0.0f);
    for (int64_t r = blocks.begin(block); r < blocks.begin(block) + blocks.length(block); ++r) {
      const int64_t i = r * C;
      BackwardRow(dout + i, straight == nullptr ? nullptr : straight + i, in + i, weights, rstds[r], C, din + i,
                  dw_block);
    }
  }
  AddPartials(partials, blocks.count, C, C, dw.data<float>());
}

}  // namespace ingot
