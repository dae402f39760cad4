#include "core/model/flat_windows.h"

#include <gtest/gtest.h>

#include "tests/core/model/test_models.h"

namespace ingot {
namespace {

struct Range {
  int64_t begin, end;
};

std::vector<Range> PlacesOf(const FlatWindows& windows, int64_t unit) {
  std::vector<Range> places;
  for (const WindowPiece& piece : windows.pieces(unit)) places.push_back({piece.place, piece.place + piece.size()});
  return places;
}

void ExpectApart(const std::vector<Range>& all) {
  for (size_t i = 0; i < all.size(); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_TRUE(all[i].end <= all[j].begin || all[j].end <= all[i].begin);
  }
}

class FlatWindowsTest : public ::testing::TestWithParam<int64_t> {};

TEST_P(FlatWindowsTest, EveryParameterHasOnePlaceAndNeighboursAreApart) {
  for (Variant variant : Variants()) {
    variant.dims.L = GetParam();
    const ParameterTable table = MakeParameterTable(variant.dims);
    const FlatWindows windows(table);
    ASSERT_EQ(windows.outside(), variant.dims.L) << variant.name;
    std::vector<int> held(table.flat_size);
    for (int64_t unit = 0; unit <= windows.outside(); ++unit) {
      for (const WindowPiece& piece : windows.pieces(unit)) {
        EXPECT_LE(piece.place + piece.size(), windows.size());
        for (int64_t i = piece.begin; i < piece.end; ++i) ++held[i];
      }
    }
    for (size_t i = 0; i < table.specs.size(); ++i) {
      const ParameterSpec& spec = table.specs[i];
      EXPECT_EQ(windows.PlaceOf(static_cast<int64_t>(i)) % 64, spec.offset % 64) << spec.name;
      for (int64_t n = spec.offset; n < spec.offset + Count(spec); ++n) ASSERT_EQ(held[n], 1) << spec.name;
    }
    for (const int count : held) ASSERT_LE(count, 1);
    for (int64_t l = 0; l < variant.dims.L; ++l) {
      std::vector<Range> together = PlacesOf(windows, windows.outside());
      for (int64_t unit = l; unit < std::min(l + 2, variant.dims.L); ++unit) {
        for (const Range& range : PlacesOf(windows, unit)) together.push_back(range);
      }
      ExpectApart(together);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Layers, FlatWindowsTest, ::testing::Values(1, 2, 5));

}  // namespace
}  // namespace ingot
