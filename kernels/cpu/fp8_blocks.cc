#include "kernels/cpu/fp8_blocks.h"

#include "kernels/cpu/rows.h"

namespace ingot {
namespace {

constexpr int64_t kBlock = Fp8Matrix::kBlock;

// Elements [row, row + rows) x [column, column + columns) of a matrix of R rows and C columns, the i-th block of it.
Panel BlockAt(int64_t i, int64_t R, int64_t C) {
  const int64_t row = i / Fp8Matrix::Blocks(C) * kBlock, column = i % Fp8Matrix::Blocks(C) * kBlock;
  return {row, std::min(kBlock, R - row), column, std::min(kBlock, C - column)};
}

template <typename Fp8>
float ScaleOf(const float* x, int64_t stride, int64_t rows, int64_t columns) {
  uint32_t magnitude = 0;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      magnitude = std::max(magnitude, std::bit_cast<uint32_t>(x[r * stride + c]) & 0x7FFFFFFFu);
    }
  }
  return Fp8Scale<Fp8>(magnitude);
}

template <typename Fp8>
void QuantizeBlock(const float* x, const Panel& block, int64_t first, int64_t C, const Fp8Matrix& y) {
  const auto [row, rows, column, columns] = block;
  const int64_t R = y.R();
  const float* const in = x + row * C + column;
  const float scale = ScaleOf<Fp8>(in, C, rows, columns), inverse = 1.0f / scale;
  y.scales.data<float>()[(first + row) / kBlock * Fp8Matrix::Blocks(C) + column / kBlock] = scale;
  Fp8 *const by_row = y.rows.data<Fp8>(), *const by_column = y.columns.data<Fp8>();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      const Fp8 value = ToFp8<Fp8>(in[r * C + c] * inverse);
      if (by_row != nullptr) by_row[(first + row + r) * C + column + c] = value;
      if (by_column != nullptr) by_column[(column + c) * R + first + row + r] = value;
    }
  }
}

}  // namespace

void QuantizeRows(const float* x, int64_t first, int64_t rows, int64_t C, const Fp8Matrix& y) {
  DispatchFp8(y.dtype(), [&]<typename Fp8>() {
#pragma omp parallel for if (WorthThreads(rows * C))
    for (int64_t i = 0; i < Fp8Matrix::Blocks(rows) * Fp8Matrix::Blocks(C); ++i) {
      QuantizeBlock<Fp8>(x, BlockAt(i, rows, C), first, C, y);
    }
  });
}

void DequantizeRows(const Fp8Matrix& x, int64_t first, int64_t rows, float* out) {
  const int64_t R = x.R(), C = x.C();
  DispatchFp8(x.dtype(), [&]<typename Fp8>() {
    const Fp8 *const by_row = x.rows.data<Fp8>(), *const by_column = x.columns.data<Fp8>();
    const float* const scales = x.scales.data<float>();
#pragma omp parallel for if (WorthThreads(rows * C))
    for (int64_t r = first; r < first + rows; ++r) {
      const float* const scale = scales + r / kBlock * Fp8Matrix::Blocks(C);
      for (int64_t c = 0; c < C; ++c) {
        const Fp8 value = by_row != nullptr ? by_row[r * C + c] : by_column[c * R + r];
        out[(r - first) * C + c] = ToFloat(value) * scale[c / kBlock];
      }
    }
  });
}

void RoundToFp8(DType fp8, int64_t R, int64_t C, float* x, int64_t stride) {
  DispatchFp8(fp8, [&]<typename Fp8>() {
#pragma omp parallel for if (WorthThreads(R * C))
    for (int64_t i = 0; i < Fp8Matrix::Blocks(R) * Fp8Matrix::Blocks(C); ++i) {
      const auto [row, rows, column, columns] = BlockAt(i, R, C);
      float* const in = x + row * stride + column;
      const float scale = ScaleOf<Fp8>(in, stride, rows, columns), inverse = 1.0f / scale;
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < columns; ++c) {
          in[r * stride + c] = ToFloat(ToFp8<Fp8>(in[r * stride + c] * inverse)) * scale;
        }
      }
    }
  });
}

}  // namespace ingot
