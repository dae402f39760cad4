#include "core/model/flat_windows.h"

#include <algorithm>

namespace ingot {
namespace {

constexpr int64_t kAlignment = 64;  // elements: as parameters begin in the flat buffer

int64_t Padded(int64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

int64_t UnitOf(const ParameterSpec& spec, int64_t outside) { return spec.layer < 0 ? outside : spec.layer; }

}  // namespace

FlatWindows::FlatWindows(const ParameterTable& table) {
  int64_t L = 0;
  for (const ParameterSpec& spec : table.specs) L = std::max<int64_t>(L, spec.layer + 1);
  units_.resize(L + 1);
  Cut(table);
  Place();
  for (const ParameterSpec& spec : table.specs) {
    const auto& pieces = units_[UnitOf(spec, outside())];
    const auto holds = [&spec](const WindowPiece& piece) {
      return piece.begin <= spec.offset && spec.offset < piece.end;
    };
    const WindowPiece& piece = *std::find_if(pieces.begin(), pieces.end(), holds);
    places_.push_back(piece.place + spec.offset - piece.begin);
  }
}

// Neighbours of one unit and one decay group are one piece, with the padding between them.
void FlatWindows::Cut(const ParameterTable& table) {
  const ParameterSpec* before = nullptr;
  for (const ParameterSpec& spec : table.specs) {
    auto& pieces = units_[UnitOf(spec, outside())];
    const bool joins = before != nullptr && before->layer == spec.layer && before->decays == spec.decays;
    if (!joins) pieces.push_back({.begin = spec.offset});
    pieces.back().end = spec.offset + Count(spec);
    before = &spec;
  }
}

void FlatWindows::Place() {
  const auto place = [](std::vector<WindowPiece>& pieces, int64_t at) {
    for (WindowPiece& piece : pieces) {
      piece.place = at;
      at += Padded(piece.size());
    }
    return at;
  };
  const int64_t begin = place(units_.back(), 0);
  int64_t slot = 0;
  for (int64_t l = 0; l < outside(); ++l) slot = std::max(slot, place(units_[l], 0));
  for (int64_t l = 0; l < outside(); ++l) place(units_[l], begin + l % 2 * slot);
  size_ = begin + std::min<int64_t>(outside(), 2) * slot;
}

}  // namespace ingot
