#include "kernels/lm_head_cross_entropy.h"

#include <algorithm>
#include <cmath>

#include "kernels/checks.h"
#include "kernels/cpu/blas.h"
#include "kernels/cpu/fp8_blocks.h"
#include "kernels/cpu/panels.h"
#include "kernels/cpu/vector_loops.h"
#include "kernels/cpu/vector_math.h"

namespace ingot {
namespace {

constexpr int64_t kRows = 512;       // of a chunk: w is packed once a chunk, which many rows must pay for
constexpr int64_t kColumns = 512;    // of the vocabulary in one panel of logits
constexpr int64_t kBlockPanels = 8;  // panels whose dz, w and dw rows are worked on while in the last-level cache

// What one panel of logits knows of a row: its largest logit, where it first is, and the sum of e^(z - max).
struct PanelStats {
  float max, sum;
  int32_t where;
};

// Scratch of one chunk. Logits are kept as e^(z - panel's maximum), one exp an element, and turned into dz by a factor.
struct Chunk {
  Pieces panels;       // of the vocabulary
  int64_t stride;      // of z
  float* z;            // (rows, V)
  PanelStats* stats;   // (rows, panels)
  float* factors;      // (rows, panels)
  float* target_z;     // (rows)
  float* x = nullptr;  // (rows, C) with w8: what x8 stands for
  float* w = nullptr;  // (kBlockPanels * kColumns, C) with w8: what it stands for, of some panels
};

int64_t Stride(int64_t V) { return (V + 15) / 16 * 16; }

// With w8 chunks and panels begin where blocks of fp8 do.
Pieces Panels(const LmHeadCrossEntropy& op) {
  static_assert(kColumns % Fp8Matrix::kBlock == 0 && kRows % Fp8Matrix::kBlock == 0);
  const int64_t V = op.V();
  return op.w8.absent() ? CutInto(V, kColumns) : Pieces{V, kColumns, (V + kColumns - 1) / kColumns};
}
int64_t ChunkRows(const LmHeadCrossEntropy& op) {
  const int64_t R = op.x.dim(0);
  return op.w8.absent() ? CutInto(R, kRows).size : std::min(R, kRows);
}

PanelStats Exponentiate(float* z, int64_t n, int64_t first, bool locate) {
  const float max = MaxOf(z, n);
  const int64_t where = locate ? std::find(z, z + n, max) - z : 0;
  return {.max = max, .sum = ExpInPlace(z, n, max), .where = static_cast<int32_t>(first + where)};
}

// One call of the op on the rows [first, first + rows).
class ChunkWork {
 public:
  ChunkWork(const LmHeadCrossEntropy& op, const Chunk& chunk, int64_t first, int64_t rows)
      : op_(op), chunk_(chunk), first_(first), rows_(rows), C_(op.x.dim(1)), V_(op.V()) {}

  void Run() const {
    const int64_t panels = chunk_.panels.count, at_once = op_.w8.absent() ? panels : kBlockPanels;
    TakeX();
    for (int64_t begin = 0; begin < panels; begin += at_once) {
      const int64_t end = std::min(begin + at_once, panels);
      TakeW(begin, end);
#pragma omp parallel for schedule(dynamic)
      for (int64_t p = begin; p < end; ++p) Logits(p);
    }
#pragma omp parallel for
    for (int64_t r = 0; r < rows_; ++r) Fold(r);
    if (op_.dx.absent()) return;
    for (int64_t begin = 0; begin < panels; begin += kBlockPanels) {
      const int64_t end = std::min(begin + kBlockPanels, panels);
      TakeW(begin, end);
      Gradients(begin, end);
    }
  }

 private:
  const float* x() const { return op_.w8.absent() ? op_.x.data<float>() + first_ * C_ : chunk_.x; }
  // From row v of w.
  const float* w(int64_t v) const {
    return op_.w8.absent() ? op_.w.data<float>() + v * C_ : chunk_.w + v % (kBlockPanels * kColumns) * C_;
  }
  int32_t target(int64_t r) const { return op_.targets.data<int32_t>()[first_ + r]; }

  void TakeX() const {
    if (op_.w8.absent()) return;
    std::copy_n(op_.x.data<float>() + first_ * C_, rows_ * C_, chunk_.x);
    RoundToFp8(op_.w8.dtype(), rows_, C_, chunk_.x, C_);
  }
  // The rows of w of the panels [begin, end).
  void TakeW(int64_t begin, int64_t end) const {
    const int64_t v = chunk_.panels.begin(begin);
    if (!op_.w8.absent()) DequantizeRows(op_.w8, v, std::min(chunk_.panels.begin(end), V_) - v, chunk_.w);
  }

  void Logits(int64_t p) const {
    const int64_t v = chunk_.panels.begin(p), columns = chunk_.panels.length(p);
    float* const z = chunk_.z + v;
    Sgemm(false, true, rows_, columns, C_, 1, x(), C_, w(v), C_, 0, z, chunk_.stride);
    for (int64_t r = 0; r < rows_; ++r) {
      float* const row = z + r * chunk_.stride;
      if (target(r) >= v && target(r) < v + columns) chunk_.target_z[r] = row[target(r) - v];
      chunk_.stats[r * chunk_.panels.count + p] = Exponentiate(row, columns, v, !op_.greedy.absent());
    }
  }

  // Joins the panels of a row: loss, greedy choice, and the factors that make dz.
  void Fold(int64_t r) const {
    const int64_t panels = chunk_.panels.count;
    const PanelStats* const stats = chunk_.stats + r * panels;
    const PanelStats best = *std::max_element(stats, stats + panels,
                                              [](const PanelStats& a, const PanelStats& b) { return a.max < b.max; });
    float sum = 0;
    for (int64_t p = 0; p < panels; ++p) sum += stats[p].sum * Exp(stats[p].max - best.max);
    const float lse = best.max + std::log(sum);
    const bool counts = target(r) >= 0;
    op_.losses.data<float>()[first_ + r] = counts ? lse - chunk_.target_z[r] : 0;
    if (!op_.greedy.absent()) op_.greedy.data<int32_t>()[first_ + r] = best.where;
    const float slope = counts ? op_.scale * (1 + 2 * op_.z_loss * lse) : 0;
    // Not e^(max - lse): a large lse has lost the digits that matter here.
    for (int64_t p = 0; p < panels; ++p) chunk_.factors[r * panels + p] = slope * Exp(stats[p].max - best.max) / sum;
  }

  // dx and dw from the panels [begin, end) of the vocabulary.
  void Gradients(int64_t begin, int64_t end) const {
    const int64_t v = chunk_.panels.begin(begin), columns = std::min(chunk_.panels.begin(end), V_) - v;
    float* const dx = op_.dx.data<float>() + first_ * C_;
    float* const dw = op_.dw.data<float>() + v * C_;
    float* const dz = chunk_.z + v;
#pragma omp parallel for
    for (int64_t r = 0; r < rows_; ++r) ToGradient(r, begin, end);
    if (!op_.w8.absent()) RoundToFp8(DType::kE5m2, rows_, columns, dz, chunk_.stride);
    const PanelGrid dx_grid = CutProduct(rows_, C_), dw_grid = CutProduct(columns, C_);
#pragma omp parallel for schedule(dynamic)
    for (int64_t task = 0; task < dx_grid.count() + dw_grid.count(); ++task) {
      if (task < dx_grid.count()) {
        const auto [r, rows, c, width] = dx_grid.panel(task);
        Sgemm(false, false, rows, width, columns, 1, dz + r * chunk_.stride, chunk_.stride, w(v) + c, C_,
              v == 0 ? 0.0f : 1.0f, dx + r * C_ + c, C_);
      } else {
        const auto [row, rows, c, width] = dw_grid.panel(task - dx_grid.count());
        Sgemm(true, false, rows, width, rows_, 1, dz + row, chunk_.stride, x() + c, C_, 1, dw + row * C_ + c, C_);
      }
    }
  }

  void ToGradient(int64_t r, int64_t begin, int64_t end) const {
    float* const dz = chunk_.z + r * chunk_.stride;
    for (int64_t p = begin; p < end; ++p) {
      const int64_t v = chunk_.panels.begin(p), columns = chunk_.panels.length(p);
      const float factor = chunk_.factors[r * chunk_.panels.count + p];
      for (int64_t i = v; i < v + columns; ++i) dz[i] *= factor;
      if (target(r) >= v && target(r) < v + columns) dz[target(r)] -= op_.scale;
    }
  }

  const LmHeadCrossEntropy& op_;
  const Chunk& chunk_;
  int64_t first_, rows_, C_, V_;
};

}  // namespace

int64_t LmHeadCrossEntropy::ScratchBytes() const {
  const int64_t C = x.dim(1), V = this->V(), rows = ChunkRows(*this), panels = Panels(*this).count;
  const int64_t values = w8.absent() ? 0
                                     : Context::ScratchFor<float>(rows * C) +
                                           Context::ScratchFor<float>(std::min(panels, kBlockPanels) * kColumns * C);
  return values + Context::ScratchFor<float>(rows * Stride(V)) + Context::ScratchFor<PanelStats>(rows * panels) +
         Context::ScratchFor<float>(rows * panels) + Context::ScratchFor<float>(rows);
}

void LmHeadCrossEntropy::OnCpu(Context& ctx) const {
  CheckMemory(kName, {x, w, targets, losses, greedy, dx, dw, w8.rows, w8.columns, w8.scales});
  const int64_t R = x.dim(0), C = x.dim(1), V = this->V(), rows = ChunkRows(*this);
  const Pieces panels = Panels(*this);
  Chunk chunk = {.panels = panels,
                 .stride = Stride(V),
                 .z = ctx.Scratch<float>(rows * Stride(V)),
                 .stats = ctx.Scratch<PanelStats>(rows * panels.count),
                 .factors = ctx.Scratch<float>(rows * panels.count),
                 .target_z = ctx.Scratch<float>(rows)};
  if (!w8.absent()) {
    chunk.x = ctx.Scratch<float>(rows * C);
    chunk.w = ctx.Scratch<float>(std::min(panels.count, kBlockPanels) * kColumns * C);
  }
  for (int64_t first = 0; first < R; first += rows) {
    ChunkWork(*this, chunk, first, std::min(rows, R - first)).Run();
  }
}

}  // namespace ingot
