#include "tokenizer/piece_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;

PieceKey KeyOf(const std::string& piece) {
  return MakePieceKey(piece.data(), piece.size(), piece.data() + piece.size());
}

std::vector<int32_t> Found(const PieceCache& cache, const std::string& piece) {
  const int32_t* const ids = cache.Find(KeyOf(piece));
  if (ids == nullptr) return {};
  return {ids, ids + PieceCache::kMostIds};
}

TEST(PieceCacheTest, HoldsTheIdsOfWhatWasInsertedAndNothingElse) {
  PieceCache cache;
  EXPECT_EQ(cache.Find({}), nullptr);
  EXPECT_THAT(Found(cache, " the"), ElementsAre());
  cache.Insert(KeyOf(" the"), std::vector<int32_t>{7, 0});
  EXPECT_THAT(Found(cache, " the"), ElementsAre(7, 0, -1, -1));
  EXPECT_THAT(Found(cache, "the"), ElementsAre());
  EXPECT_THAT(Found(cache, std::string(" the\0", 5)), ElementsAre()) << "pieces of other lengths are others";
}

TEST(PieceCacheTest, ACopyIsApart) {
  PieceCache cache;
  cache.Insert(KeyOf("a"), std::vector<int32_t>{1});
  PieceCache copy(cache);
  copy.Insert(KeyOf("b"), std::vector<int32_t>{2});
  EXPECT_THAT(Found(copy, "a"), ElementsAre(1, -1, -1, -1));
  EXPECT_THAT(Found(cache, "b"), ElementsAre());
}

// With many more pieces than places, what is found is right, the newest is there, and only free places are taken on
// those terms.
TEST(PieceCacheTest, NewerPiecesTakeThePlacesOfOlderOnes) {
  constexpr int kPieces = 400000;
  PieceCache cache;
  int held = 0;
  for (int i = 0; i < kPieces; ++i) {
    const std::string piece = absl::StrCat("p", i);
    cache.Insert(KeyOf(piece), std::vector<int32_t>{i, i + 1, i + 2});
    ASSERT_THAT(Found(cache, piece), ElementsAre(i, i + 1, i + 2, -1));
  }
  for (int i = 0; i < kPieces; ++i) {
    const std::vector<int32_t> ids = Found(cache, absl::StrCat("p", i));
    if (ids.empty()) continue;
    ASSERT_THAT(ids, ElementsAre(i, i + 1, i + 2, -1));
    ++held;
  }
  EXPECT_GT(held, 100000);
  EXPECT_LT(held, 150000);
  for (int i = 0; i < kPieces; ++i) cache.InsertIfFree(KeyOf(absl::StrCat("q", i)), i);
  int held_after = 0;
  for (int i = 0; i < kPieces; ++i) held_after += Found(cache, absl::StrCat("p", i)).empty() ? 0 : 1;
  EXPECT_EQ(held_after, held);
}

}  // namespace
}  // namespace ingot
