#pragma once
// How products are cut into panels, each one single-threaded Sgemm. The cut is a function of the shape alone: which
// thread computes a panel does not matter, so neither does how many there are.
#include <algorithm>
#include <cstdint>

namespace ingot {

// [0, total) in `count` pieces of `size` elements, the last one possibly shorter.
struct Pieces {
  int64_t total, size, count;
  int64_t begin(int64_t i) const { return i * size; }
  int64_t length(int64_t i) const { return std::min(size, total - i * size); }
};

// Pieces of about equal length, a multiple of 16 (a vector) and at most `limit` (one too).
inline Pieces CutInto(int64_t total, int64_t limit) {
  const int64_t wanted = std::max<int64_t>(1, (total + limit - 1) / limit);
  const int64_t size = std::max<int64_t>(16, ((total + wanted - 1) / wanted + 15) / 16 * 16);
  return {total, size, (total + size - 1) / size};
}

// Elements [row, row + rows) x [column, column + columns) of an output.
struct Panel {
  int64_t row, rows, column, columns;
};

// An (M, N) output in panels.
struct PanelGrid {
  Pieces rows, columns;
  int64_t count() const { return rows.count * columns.count; }
  // Panels with the same columns follow each other, so that the operand of the columns stays in cache.
  Panel panel(int64_t i) const {
    const int64_t m = i % rows.count, n = i / rows.count;
    return {rows.begin(m), rows.length(m), columns.begin(n), columns.length(n)};
  }
};

// Panels of at most 512 x 512. While there are fewer than 32, which is when many threads would idle, the longer side is
// halved, down to 64 and to an area of 256 x 128: below it, packing the operands costs a product a tenth of its speed.
inline PanelGrid CutProduct(int64_t M, int64_t N) {
  constexpr int64_t kLargest = 512, kShortest = 64, kSmallestArea = 256 * 128, kEnough = 32;
  int64_t rows = std::min(M, kLargest), columns = std::min(N, kLargest);
  PanelGrid grid = {CutInto(M, rows), CutInto(N, columns)};
  while (grid.count() < kEnough) {
    int64_t& longer = rows > columns ? rows : columns;
    const bool small = rows * columns <= kSmallestArea && std::min(rows, columns) > kShortest;
    if (small || longer <= kShortest) break;
    longer = (longer / 2 + 15) / 16 * 16;
    grid = {CutInto(M, rows), CutInto(N, columns)};
  }
  return grid;
}

}  // namespace ingot
