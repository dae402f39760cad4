#include "core/training/buckets.h"

#include <gtest/gtest.h>

#include "core/base/philox.h"

namespace ingot {
namespace {

// Pieces with gaps between them, all of odd sizes, the windows' places in another order.
std::vector<WindowPiece> RandomPieces(uint64_t seed, int64_t count, int64_t& end) {
  std::vector<WindowPiece> pieces;
  end = 0;
  for (int64_t i = 0; i < count; ++i) {
    const auto draw = [&](uint64_t stream, uint64_t n) {
      return static_cast<int64_t>(Philox{seed}.Below(n, stream, static_cast<uint64_t>(i)));
    };
    const int64_t begin = end + draw(0, 50), size = 1 + draw(1, 400);
    pieces.push_back({.begin = begin, .end = begin + size, .place = (count - i) * 1000});
    end = begin + size;
  }
  return pieces;
}

TEST(Buckets, HoldEveryElementOnceAtItsOwner) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    int64_t end = 0;
    const std::vector<WindowPiece> pieces = RandomPieces(seed, 1 + static_cast<int64_t>(seed % 4), end);
    const int64_t ranks = 1 + static_cast<int64_t>(seed % 7), most = 1 + static_cast<int64_t>(seed * 13 % 150);
    std::vector<Interval> shards;
    for (int64_t rank = 0; rank < ranks; ++rank) shards.push_back(PartOf(end, rank, ranks));
    std::vector<int64_t> places(end, -1);
    for (const Bucket& bucket : BucketsOf(pieces, shards, most)) {
      int64_t moved = 0;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        EXPECT_LE(SizeOf(bucket[rank]), most);
        moved += SizeOf(bucket[rank]);
        for (const WindowPiece& piece : bucket[rank]) {
          ASSERT_LE(shards[rank].begin, piece.begin);
          ASSERT_LE(piece.end, shards[rank].end);
          for (int64_t i = piece.begin; i < piece.end; ++i) {
            ASSERT_EQ(places[i], -1) << "element " << i << " twice, seed " << seed;
            places[i] = piece.place + i - piece.begin;
          }
        }
      }
      EXPECT_GT(moved, 0);
    }
    std::vector<int64_t> expected(end, -1);
    for (const WindowPiece& piece : pieces) {
      for (int64_t i = piece.begin; i < piece.end; ++i) expected[i] = piece.place + i - piece.begin;
    }
    ASSERT_TRUE(places == expected) << "seed " << seed;
  }
}

TEST(Buckets, NothingMakesNone) { EXPECT_TRUE(BucketsOf({}, {{0, 10}}, 5).empty()); }

}  // namespace
}  // namespace ingot
