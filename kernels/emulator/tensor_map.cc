#include "kernels/emulator/tensor_map.h"

#include <algorithm>

#include "kernels/emulator/shared_matrix.h"

namespace ingot::emulator {
namespace {

constexpr int64_t kPiece = 16;  // bytes that a swizzle never parts

// One row of the box, `row` being the device's address of its coordinate 0 or null outside of the tensor.
void VisitRow(const TensorMap& map, int64_t x, unsigned char* row, uint32_t shared, const VisitPart& visit) {
  const int64_t element = map.strides[0], per_piece = kPiece / element;
  for (int64_t i = 0; i < map.box[0]; i += per_piece) {
    const uint32_t piece = Swizzled(shared + static_cast<uint32_t>(i * element), map.span);
    const int64_t begin = row == nullptr ? per_piece : std::clamp<int64_t>(-x - i, 0, per_piece);
    const int64_t end = row == nullptr ? per_piece : std::clamp<int64_t>(map.sizes[0] - x - i, begin, per_piece);
    const auto bytes = [&](int64_t from, int64_t to) { return static_cast<uint32_t>((to - from) * element); };
    if (begin > 0) visit(piece, nullptr, bytes(0, begin));
    if (end > begin) visit(piece + bytes(0, begin), row + (x + i + begin) * element, bytes(begin, end));
    if (end < per_piece) visit(piece + bytes(0, end), nullptr, bytes(end, per_piece));
  }
}

}  // namespace

uint32_t BoxBytes(const TensorMap& map) {
  int64_t bytes = map.strides[0];
  for (int i = 0; i < map.rank; ++i) bytes *= map.box[i];
  return static_cast<uint32_t>(bytes);
}

void ForEachPart(const TensorMap& map, const int (&at)[kMaxTensorRank], uint32_t shared, const VisitPart& visit) {
  const auto row_bytes = static_cast<uint32_t>(map.box[0] * map.strides[0]);
  const uint32_t rows = BoxBytes(map) / row_bytes;
  for (uint32_t i = 0; i < rows; ++i) {
    unsigned char* row = map.base;
    uint32_t left = i;
    for (int d = 1; d < map.rank; ++d) {
      const int64_t index = at[d] + static_cast<int64_t>(left % map.box[d]);
      left /= map.box[d];
      const bool inside = row != nullptr && index >= 0 && index < map.sizes[d];
      row = inside ? row + index * map.strides[d] : nullptr;
    }
    VisitRow(map, at[0], row, shared + i * row_bytes, visit);
  }
}

}  // namespace ingot::emulator
