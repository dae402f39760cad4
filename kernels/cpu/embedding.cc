#include "kernels/embedding.h"

#include <omp.h>

#include <algorithm>

#include "kernels/checks.h"
#include "kernels/cpu/rows.h"

namespace ingot {
namespace {

inline void AddTo(float* sum, const float* x, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) sum[i] += x[i];
}

}  // namespace

void EmbeddingForward::OnCpu(Context&) const {
  CheckMemory(kName, {tokens, table, positions, position_table, y});
  CheckIndices(kName, tokens, table.dim(0));
  if (!position_table.absent()) CheckIndices(kName, positions, position_table.dim(0));
  const int64_t R = y.dim(0), C = y.dim(1);
  const int32_t *const token = tokens.data<int32_t>(), *const position = positions.data<int32_t>();
  const float *const rows = table.data<float>(), *const position_rows = position_table.data<float>();
  float* const out = y.data<float>();
#pragma omp parallel for if (WorthThreads(R * C))
  for (int64_t r = 0; r < R; ++r) {
    std::copy_n(rows + token[r] * C, C, out + r * C);
    if (position_rows != nullptr) AddTo(out + r * C, position_rows + position[r] * C, C);
  }
}

// Threads share the channels, not the rows: each row of a table is added to in ascending r with nobody in the way, and
// the cost follows R, however large V is.
void EmbeddingBackward::OnCpu(Context&) const {
  CheckMemory(kName, {dy, tokens, dtable, positions, dposition_table});
  CheckIndices(kName, tokens, dtable.dim(0));
  if (!dposition_table.absent()) CheckIndices(kName, positions, dposition_table.dim(0));
  const int64_t R = dy.dim(0), C = dy.dim(1);
  const int32_t *const token = tokens.data<int32_t>(), *const position = positions.data<int32_t>();
  const float* const dout = dy.data<float>();
  float *const drows = dtable.data<float>(), *const dposition_rows = dposition_table.data<float>();
  const Pieces channels = CutInto(C, std::max<int64_t>(16, (C + omp_get_max_threads() - 1) / omp_get_max_threads()));
#pragma omp parallel for if (WorthThreads(R * C))
  for (int64_t i = 0; i < channels.count; ++i) {
    const int64_t c = channels.begin(i), width = channels.length(i);
    for (int64_t r = 0; r < R; ++r) {
      AddTo(drows + token[r] * C + c, dout + r * C + c, width);
      if (dposition_rows != nullptr) AddTo(dposition_rows + position[r] * C + c, dout + r * C + c, width);
    }
  }
}

}  // namespace ingot
