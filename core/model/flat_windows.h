#pragma once
// FlatWindows: what a process that keeps only a shard of a flat buffer computes with. A window buffer holds what stands
// outside the layers all the time, and two layers: layer l has slot l % 2, so that one is filled or emptied while its
// neighbour is computed. A pure function of the parameter table.
#include <cstdint>
#include <vector>

#include "core/model/parameter_table.h"

namespace ingot {

// A piece of the flat buffer and where it lies in the window buffer, in elements.
struct WindowPiece {
  int64_t begin = 0, end = 0;  // of the flat buffer
  int64_t place = 0;           // of `begin` in the window buffer
  int64_t size() const { return end - begin; }
};

class FlatWindows {
 public:
  explicit FlatWindows(const ParameterTable& table);

  // Units 0 to L - 1 are the L layers, unit L is what stands outside.
  int64_t outside() const { return static_cast<int64_t>(units_.size()) - 1; }
  // Ascending. Every parameter lies in one piece of one unit.
  const std::vector<WindowPiece>& pieces(int64_t unit) const { return units_[unit]; }
  // Elements of a window buffer.
  int64_t size() const { return size_; }
  // Where parameter i of the table begins in the window buffer.
  int64_t PlaceOf(int64_t i) const { return places_[i]; }

 private:
  void Cut(const ParameterTable& table);
  void Place();

  std::vector<std::vector<WindowPiece>> units_;
  std::vector<int64_t> places_;
  int64_t size_ = 0;
};

}  // namespace ingot
