#include "kernels/embedding.h"

#include <algorithm>

#include "kernels/cpu/row_blocks.h"

namespace ingot {

void EmbeddingForward::OnCpu(Context&) const {
  const int64_t R = y.dim(0), C = y.dim(1);
  const int32_t *const ids = tokens.data<int32_t>(), *const places = positions.data<int32_t>();
  const float *const rows = table.data<float>(), *const position_rows = position_table.data<float>();
  float* const out = y.data<float>();
#pragma omp parallel for if (R * C > kParallelElements)
  for (int64_t r = 0; r < R; ++r) {
    INGOT_CHECK(ids[r] >= 0 && ids[r] < table.dim(0), "token %d of %lld", ids[r], static_cast<long long>(table.dim(0)));
    const float* const token = rows + ids[r] * C;
    if (position_rows == nullptr) {
      std::copy(token, token + C, out + r * C);
      continue;
    }
    const float* const position = position_rows + places[r] * C;
    for (int64_t c = 0; c < C; ++c) out[r * C + c] = token[c] + position[c];
  }
}

namespace {

constexpr int64_t kChannels = 32;  // of one task: two cache lines, so no line is shared by two threads

// table[ids[r],:] += dy[r,:] for the channels [begin, end), rows in ascending order.
void AddRows(const float* dy, const int32_t* ids, int64_t R, int64_t C, int64_t begin, int64_t end, float* table) {
  for (int64_t r = 0; r < R; ++r) {
    float* const row = table + ids[r] * C;
    for (int64_t c = begin; c < end; ++c) row[c] += dy[r * C + c];
  }
}

}  // namespace

// Threads share out the channels, so every element has one writer and its additions come in the order of the rows.
void EmbeddingBackward::OnCpu(Context&) const {
  const int64_t R = dy.dim(0), C = dy.dim(1);
  const float* const gradient = dy.data<float>();
#pragma omp parallel for if (R * C > kParallelElements)
  for (int64_t begin = 0; begin < C; begin += kChannels) {
    const int64_t end = std::min(begin + kChannels, C);
    AddRows(gradient, tokens.data<int32_t>(), R, C, begin, end, dtable.data<float>());
    if (dposition_table.absent()) continue;
    AddRows(gradient, positions.data<int32_t>(), R, C, begin, end, dposition_table.data<float>());
  }
}

}  // namespace ingot
