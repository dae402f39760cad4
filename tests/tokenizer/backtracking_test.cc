#include "tokenizer/backtracking.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/escaping.h"
#include "tests/tokenizer/test_tokenizers.h"
#include "tokenizer/encoding_tables.h"
#include "tokenizer/merging.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;

// The 256 bytes by value and `merges` merges of tokens drawn from those over few letters, in an order in which each is
// made before it is used. As nothing is learned from text, many of the tokens are such that no text gives them. With
// `all_splits`, every two tokens that join to a third merge, as in files that were converted from ranks of tokens.
TokenizerModel RandomModel(std::mt19937& random, const std::vector<char>& letters, int merges, bool all_splits = false) {
  TokenizerModel model;
  for (int byte = 0; byte < 256; ++byte) model.tokens.emplace_back(1, static_cast<char>(byte));
  std::vector<int32_t> usable;
  for (const char letter : letters) usable.push_back(static_cast<uint8_t>(letter));
  for (int tries = 0; static_cast<int>(model.merges.size()) < merges && tries < 50 * merges; ++tries) {
    const int32_t left = usable[random() % usable.size()], right = usable[random() % usable.size()];
    const std::string joined = model.tokens[left] + model.tokens[right];
    if (joined.size() > 12) continue;
    if (std::find(model.tokens.begin(), model.tokens.end(), joined) != model.tokens.end()) continue;
    const auto result = static_cast<int32_t>(model.tokens.size());
    model.tokens.push_back(joined);
    usable.push_back(result);
    for (const int32_t first : all_splits ? usable : std::vector<int32_t>{left}) {
      if (model.tokens[first].size() >= joined.size() || joined.find(model.tokens[first]) != 0) continue;
      const std::string rest = joined.substr(model.tokens[first].size());
      const auto second = std::find(model.tokens.begin(), model.tokens.end(), rest);
      if (second == model.tokens.end()) continue;
      model.merges.push_back({first, static_cast<int32_t>(second - model.tokens.begin()), result});
    }
  }
  INGOT_CHECK(Validate(model).ok(), "test vocabulary is not valid");
  return model;
}

std::string RandomPiece(std::mt19937& random, const std::vector<char>& letters, size_t longest) {
  std::string piece(1 + random() % longest, ' ');
  for (char& c : piece) c = letters[random() % letters.size()];
  return piece;
}

class BothWays {
 public:
  explicit BothWays(TokenizerModel model) : tables_(std::make_shared<TokenizerModel>(std::move(model))) {}

  bool serves() const { return tables_.backtracking.has_value(); }

  std::vector<int32_t> Backtracked(absl::string_view piece) {
    std::vector<int32_t> ids;
    tables_.backtracking->Encode(piece, scratch_, ids);
    return ids;
  }
  std::vector<int32_t> Merged(absl::string_view piece) {
    std::vector<int32_t> ids;
    MergePiece(tables_.byte_ids, tables_.pairs, piece, merge_scratch_, ids);
    return ids;
  }

 private:
  EncodingTables tables_;
  BacktrackingScratch scratch_;
  MergeScratch merge_scratch_;
};

TEST(BacktrackingTest, EqualsMergingByRanksInAnyVocabularyItServes) {
  const std::vector<char> letters = {'a', 'b', 'c', 'd', '\xE4'};
  for (uint32_t seed = 0; seed < 400; ++seed) {
    std::mt19937 random(seed);
    const std::vector<char> few(letters.begin(), letters.begin() + 1 + seed % 5);
    BothWays ways(RandomModel(random, few, 1 + static_cast<int>(random() % 60), seed % 2 == 1));
    ASSERT_TRUE(ways.serves());
    for (int i = 0; i < 200; ++i) {
      const std::string piece = RandomPiece(random, few, i % 20 == 0 ? 400 : 24);
      ASSERT_EQ(ways.Backtracked(piece), ways.Merged(piece)) << absl::CHexEscape(piece) << " seed " << seed;
    }
  }
}

TEST(BacktrackingTest, EveryShortPieceOfTwoLetters) {
  for (uint32_t seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    BothWays ways(RandomModel(random, {'a', 'b'}, 2 + static_cast<int>(seed % 12), seed % 2 == 1));
    for (uint32_t bits = 2; bits < 1u << 11; ++bits) {  // the highest bit ends the piece
      std::string piece;
      for (uint32_t rest = bits; rest > 1; rest >>= 1) piece += (rest & 1) != 0 ? 'b' : 'a';
      ASSERT_EQ(ways.Backtracked(piece), ways.Merged(piece)) << piece << " seed " << seed;
    }
  }
}

// Vocabularies learned from words of characters of one to four bytes, whose bytes are joined across characters as well.
TEST(BacktrackingTest, EqualsMergingByRanksInLearnedVocabularies) {
  const char* const kCharacters[] = {"a",
                                     "\xC3\xA9",
                                     "\xC3\xA4",
                                     "\xD0\xB6",
                                     "\xE4\xB8\xAD",
                                     "\xE4\xB8\x80",
                                     "\xE6\x96\x87",
                                     "\xE6\xB8\xAD",
                                     "\xE3\x80\x82",
                                     "\xF0\x9F\x98\x80"};
  int compared = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto word = [&] {
      std::string text;
      for (size_t n = 1 + random() % 12; n > 0; --n) text += kCharacters[random() % (2 + seed % 9)];
      return text;
    };
    std::string corpus;
    for (int i = 0; i < 300; ++i) corpus += word() + " ";
    TrainerOptions options;
    options.vocabulary_size = 320 + 40 + static_cast<int64_t>(seed % 3) * 30;
    options.threads = 1;
    const auto model = TrainTokenizer(SourceOf({corpus}), options);
    if (!model.ok()) continue;  // too few characters for so many merges
    BothWays ways(*model);
    ASSERT_TRUE(ways.serves());
    for (int i = 0; i < 500; ++i) {
      std::string piece = word();
      if (i % 2 == 0) piece = piece.substr(random() % piece.size());  // not always whole characters
      ASSERT_EQ(ways.Backtracked(piece), ways.Merged(piece)) << absl::CHexEscape(piece) << " seed " << seed;
      ++compared;
    }
  }
  EXPECT_GT(compared, 5000);
}

// Taking the longest token first is wrong at the begin of a long piece, and is found out only at its end.
TEST(BacktrackingTest, GoesBackToTheBegin) {
  BothWays ways(RandomModel(*std::make_unique<std::mt19937>(7), {'a'}, 4));
  for (size_t size = 1; size < 300; ++size) {
    const std::string piece(size, 'a');
    ASSERT_EQ(ways.Backtracked(piece), ways.Merged(piece)) << size;
  }
}

TEST(BacktrackingTest, DoesNotServeWhereRanksDoNotSayAll) {
  TokenizerModel model;
  for (int byte = 0; byte < 256; ++byte) model.tokens.emplace_back(1, static_cast<char>(byte));
  model.tokens.insert(model.tokens.end(), {"ab", "bc", "abc"});
  model.merges = {{'a', 'b', 256}, {'b', 'c', 257}, {256, 'c', 258}};
  EXPECT_TRUE(Backtracking::Serves(model));
  TokenizerModel made_twice = model;
  made_twice.merges.push_back({'a', 257, 258});
  EXPECT_TRUE(Backtracking::Serves(made_twice));
  made_twice.tokens.push_back("abcd");
  made_twice.merges.insert(made_twice.merges.end() - 1, {258, 'd', 259});  // before "abc" is made for the last time
  EXPECT_FALSE(Backtracking::Serves(made_twice));
  TokenizerModel used_before_made = model;
  std::swap(used_before_made.merges[0], used_before_made.merges[2]);
  EXPECT_FALSE(Backtracking::Serves(used_before_made));
}

TEST(TokenTrieTest, LongestTokenAndItsPrefixes) {
  std::vector<std::string> tokens;
  std::vector<int32_t> ids;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (const char* token : {"th", "the", "there", "\xE4\xB8", "\xE4\xB8\xAD", "unused"}) tokens.emplace_back(token);
  for (int32_t id = 0; id + 1 < static_cast<int32_t>(tokens.size()); ++id) ids.push_back(id);
  const TokenTrie trie(tokens, ids);
  const auto longest = [&](absl::string_view text) {
    const auto* const p = reinterpret_cast<const uint8_t*>(text.data());
    const TokenTrie::Match match = trie.Longest(p, p + text.size());
    return tokens[match.id] + "|" + std::to_string(match.end - p);
  };
  EXPECT_EQ(longest("therefore"), "there|5");
  EXPECT_EQ(longest("thermal"), "the|3");
  EXPECT_EQ(longest("t"), "t|1");
  EXPECT_EQ(longest("\xE4\xB8\xAD\xE4"), "\xE4\xB8\xAD|3");
  EXPECT_EQ(longest("\xE4\xB9"), "\xE4|1");
  EXPECT_EQ(longest("unused"), "u|1");
  EXPECT_EQ(trie.LongestProperPrefix("there"), 257);
  EXPECT_EQ(trie.LongestProperPrefix("th"), 't');
  EXPECT_EQ(trie.LongestProperPrefix("t"), -1);
}

// Against a search through all tokens, where most nodes of the trie are crowded.
TEST(TokenTrieTest, RandomTokens) {
  std::mt19937 random(5);
  std::vector<std::string> tokens;
  std::vector<int32_t> ids;
  for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
  for (int i = 0; i < 3000; ++i) {
    std::string token(2 + random() % 3, ' ');
    for (char& c : token) c = static_cast<char>(random() % (i % 2 == 0 ? 256 : 8));
    if (std::find(tokens.begin(), tokens.end(), token) == tokens.end()) tokens.push_back(token);
  }
  for (int32_t id = 0; id < static_cast<int32_t>(tokens.size()); ++id) ids.push_back(id);
  const TokenTrie trie(tokens, ids);
  for (int i = 0; i < 3000; ++i) {
    std::string text = tokens[random() % tokens.size()] + tokens[random() % tokens.size()];
    size_t longest = 0;
    for (const std::string& token : tokens) {
      if (text.compare(0, token.size(), token) == 0) longest = std::max(longest, token.size());
    }
    const auto* const p = reinterpret_cast<const uint8_t*>(text.data());
    const TokenTrie::Match match = trie.Longest(p, p + text.size());
    ASSERT_EQ(match.end - p, longest);
    ASSERT_EQ(tokens[match.id], text.substr(0, longest));
  }
}

}  // namespace
}  // namespace ingot
