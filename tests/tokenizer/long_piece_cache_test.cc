#include "tokenizer/long_piece_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/tokenizer/test_tokenizers.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

TEST(LongPieceCacheTest, FindsWhatWasKept) {
  LongPieceCache cache;
  std::vector<int32_t> ids = {9};
  EXPECT_FALSE(cache.Find("a piece of text", 0, ids));  // 0 is the hash of entries never used
  cache.Insert("a piece of text", 0, std::vector<int32_t>{1, 2, 3});
  EXPECT_TRUE(cache.Find("a piece of text", 0, ids));
  EXPECT_THAT(ids, ElementsAre(9, 1, 2, 3));
}

TEST(LongPieceCacheTest, EqualHashesAreToldApart) {
  LongPieceCache cache;
  const std::vector<std::string> pieces = {"same hash one", "same hash two", "same hash",
                                           std::string("same hash\0", 10)};
  for (int32_t i = 0; i < 4; ++i) cache.Insert(pieces[i], 5, std::vector<int32_t>{i});
  for (int32_t i = 0; i < 4; ++i) {
    std::vector<int32_t> ids;
    EXPECT_TRUE(cache.Find(pieces[i], 5, ids));
    EXPECT_THAT(ids, ElementsAre(i));
  }
  cache.Insert("a fifth of the set", 5, std::vector<int32_t>{4});
  std::vector<int32_t> ids;
  EXPECT_FALSE(cache.Find(pieces[0], 5, ids));  // the oldest went
  EXPECT_TRUE(cache.Find(pieces[1], 5, ids));
}

// Many laps of the smallest ring: whatever is found is right, the newest is always found, the oldest never.
TEST(LongPieceCacheTest, OldRecordsAreOverwritten) {
  LongPieceCache cache(13, 4);
  StringFuzzer random(1);
  std::map<std::string, std::vector<int32_t>> kept;
  std::string first;
  for (int32_t i = 0; i < 3000; ++i) {
    std::string piece(16 + random.Below(i % 100 == 0 ? 4081 : 60), 'x');
    for (char& c : piece) c = static_cast<char>(random.Below(256));
    const std::vector<int32_t> ids(1 + random.Below(piece.size()), i);
    cache.Insert(piece, LongPieceCache::HashOf(piece), ids);
    kept[piece] = ids;
    if (i == 0) first = piece;
    std::vector<int32_t> found;
    ASSERT_TRUE(cache.Find(piece, LongPieceCache::HashOf(piece), found));
    ASSERT_THAT(found, ElementsAreArray(ids));
  }
  std::vector<int32_t> found;
  EXPECT_FALSE(cache.Find(first, LongPieceCache::HashOf(first), found));
  for (const auto& [piece, ids] : kept) {
    found.clear();
    const bool is_here = cache.Find(piece, LongPieceCache::HashOf(piece), found);
    ASSERT_THAT(found, ElementsAreArray(is_here ? ids : std::vector<int32_t>{}));
  }
}

// Pieces at the borders of both caches and of the ways to merge; a fresh encoder for each is the cold one.
TEST(LongPieceCacheTest, WarmEqualsColdAtTheBorders) {
  const Tokenizer tokenizer = SmallTokenizer(SplitPattern::kQwen2, 90);
  Encoder warm(tokenizer);
  StringFuzzer random(2);
  for (const size_t size : {1, 14, 15, 16, 17, 127, 128, 129, 4095, 4096, 4097}) {
    for (int i = 0; i < 10; ++i) {
      std::string piece(size, 'a');
      for (char& c : piece) c = "aehnrt"[random.Below(6)];
      std::vector<int32_t> cold, first, second;
      Encoder(tokenizer).Encode(piece, cold);
      warm.Encode(piece, first);
      warm.Encode(piece, second);
      ASSERT_EQ(first, cold) << piece;
      ASSERT_EQ(second, cold) << piece;
      ASSERT_EQ(*tokenizer.Decode(cold), piece);
    }
  }
}

}  // namespace
}  // namespace ingot
