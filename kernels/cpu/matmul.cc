// In this file M, N and `inner` keep their BLAS meaning: an (M, N) output, each element a sum over `inner` terms.
#include "kernels/matmul.h"

#include "kernels/checks.h"
#include "kernels/cpu/blas.h"
#include "kernels/cpu/column_sums.h"
#include "kernels/cpu/rows.h"

namespace ingot {
namespace {

constexpr int64_t kBiasColumns = 256;  // of dbias, summed by one thread
constexpr int64_t kBiasRows = 128;     // summed in one chain

// dbias[n] += sum_r dy[r,n] for n in [begin, begin + columns): blocks of rows, folded in order.
void AddSomeColumnSums(const float* dy, int64_t R, int64_t O, int64_t begin, int64_t columns, float* dbias) {
  for (int64_t first = 0; first < R; first += kBiasRows) {
    float sums[kBiasColumns] = {};
    for (int64_t r = first; r < std::min(first + kBiasRows, R); ++r) {
      const float* const row = dy + r * O + begin;
      for (int64_t n = 0; n < columns; ++n) sums[n] += row[n];
    }
    for (int64_t n = 0; n < columns; ++n) dbias[begin + n] += sums[n];
  }
}

Pieces BiasPieces(int64_t O) { return CutInto(O, kBiasColumns); }

void AddBias(const float* bias, int64_t rows, int64_t columns, float* y, int64_t stride) {
  for (int64_t m = 0; m < rows; ++m) {
    for (int64_t n = 0; n < columns; ++n) y[m * stride + n] += bias[n];
  }
}

}  // namespace

void AddColumnSums(const Tensor& dy, const Tensor& out) {
  const int64_t R = dy.dim(0), O = dy.dim(1);
  const Pieces pieces = BiasPieces(O);
#pragma omp parallel for if (WorthThreads(R * O))
  for (int64_t i = 0; i < pieces.count; ++i) {
    AddSomeColumnSums(dy.data<float>(), R, O, pieces.begin(i), pieces.length(i), out.data<float>());
  }
}

void MatmulForward::OnCpu(Context&) const {
  CheckMemory(kName, {x, w, bias, y});
  const int64_t R = x.dim(0), I = x.dim(1), O = w.dim(0);
  const float *const in = x.data<float>(), *const weights = w.data<float>(), *const b = bias.data<float>();
  float* const out = y.data<float>();
  const PanelGrid grid = CutProduct(R, O);
#pragma omp parallel for schedule(dynamic)
  for (int64_t i = 0; i < grid.count(); ++i) {
    const auto [r, rows, o, columns] = grid.panel(i);
    Sgemm(false, true, rows, columns, I, 1, in + r * I, I, weights + o * I, I, 0, out + r * O + o, O);
    if (b != nullptr) AddBias(b + o, rows, columns, out + r * O + o, O);
  }
}

void MatmulBackward::OnCpu(Context&) const {
  CheckMemory(kName, {dy, x, w, dx, dw, dbias});
  const int64_t R = dy.dim(0), O = dy.dim(1), I = x.dim(1);
  const float *const dout = dy.data<float>(), *const in = x.data<float>(), *const weights = w.data<float>();
  float *const din = dx.data<float>(), *const dweights = dw.data<float>(), *const db = dbias.data<float>();
  const PanelGrid dw_grid = CutProduct(O, I), dx_grid = CutProduct(R, I);
  const int64_t dw_end = dw_grid.count(), dx_end = dw_end + (dx.absent() ? 0 : dx_grid.count());
  const Pieces bias_pieces = BiasPieces(O);
  const int64_t end = dx_end + (dbias.absent() ? 0 : bias_pieces.count);
  // One list of panels for the three outputs: the threads idle at its end only.
#pragma omp parallel for schedule(dynamic)
  for (int64_t task = 0; task < end; ++task) {
    if (task < dw_end) {
      const auto [o, rows, i, columns] = dw_grid.panel(task);
      Sgemm(true, false, rows, columns, R, 1, dout + o, O, in + i, I, 1, dweights + o * I + i, I);
    } else if (task < dx_end) {
      const auto [r, rows, i, columns] = dx_grid.panel(task - dw_end);
      Sgemm(false, false, rows, columns, O, 1, dout + r * O, O, weights + i, I, 0, din + r * I + i, I);
    } else {
      const int64_t piece = task - dx_end;
      AddSomeColumnSums(dout, R, O, bias_pieces.begin(piece), bias_pieces.length(piece), db);
    }
  }
}

}  // namespace ingot
