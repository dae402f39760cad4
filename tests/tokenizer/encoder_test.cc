#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "absl/strings/escaping.h"
#include "tests/tokenizer/test_tokenizers.h"
#include "tokenizer/encoding_tables.h"
#include "tokenizer/merging.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int32_t> Encoded(const Tokenizer& tokenizer, absl::string_view text) {
  std::vector<int32_t> ids;
  Encoder(tokenizer).Encode(text, ids);
  return ids;
}

std::vector<std::string> Spelled(const Tokenizer& tokenizer, absl::string_view text) {
  std::vector<std::string> tokens;
  for (const int32_t id : Encoded(tokenizer, text)) tokens.push_back(tokenizer.model().tokens[id]);
  return tokens;
}

// The rule as it is written: the lowest rank anywhere, leftmost first, again and again.
std::vector<int32_t> NaiveMerging(const TokenizerModel& model, absl::string_view piece) {
  std::vector<std::string> tokens;
  for (const char byte : piece) tokens.emplace_back(1, byte);
  for (;;) {
    size_t lowest = model.merges.size(), at = 0;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      for (size_t rank = 0; rank < lowest; ++rank) {
        const Merge& merge = model.merges[rank];
        if (model.tokens[merge.left] == tokens[i] && model.tokens[merge.right] == tokens[i + 1]) {
          lowest = rank;
          at = i;
        }
      }
    }
    if (lowest == model.merges.size()) break;
    tokens[at] += tokens[at + 1];
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  std::vector<int32_t> ids;
  for (const std::string& token : tokens) {
    ids.push_back(
        static_cast<int32_t>(std::find(model.tokens.begin(), model.tokens.end(), token) - model.tokens.begin()));
  }
  return ids;
}

// A vocabulary of the 256 bytes by value, then these merges, each "left right" of tokens that exist by then.
TokenizerModel ModelOf(const std::vector<std::pair<std::string, std::string>>& merges) {
  TokenizerModel model;
  for (int byte = 0; byte < 256; ++byte) model.tokens.emplace_back(1, static_cast<char>(byte));
  const auto id_of = [&model](const std::string& token) {
    const auto found = std::find(model.tokens.begin(), model.tokens.end(), token);
    return static_cast<int32_t>(found - model.tokens.begin());
  };
  for (const auto& [left, right] : merges) {
    const int32_t result = id_of(left + right);
    if (result == static_cast<int32_t>(model.tokens.size())) model.tokens.push_back(left + right);
    model.merges.push_back({id_of(left), id_of(right), result});
  }
  INGOT_CHECK(Validate(model).ok(), "test vocabulary is not valid");
  return model;
}

TEST(MergingTest, RunsMergeFromTheLeft) {
  const Tokenizer tokenizer(std::make_shared<TokenizerModel>(ModelOf({{"a", "a"}, {"aa", "aa"}})));
  EXPECT_THAT(Spelled(tokenizer, "aaa"), ElementsAre("aa", "a"));
  EXPECT_THAT(Spelled(tokenizer, "aaaaaaa"), ElementsAre("aaaa", "aa", "a"));
  std::vector<std::string> expected(250, "aaaa");
  expected.insert(expected.end(), {"aa", "a"});
  EXPECT_EQ(Spelled(tokenizer, std::string(1003, 'a')), expected);
}

TEST(MergingTest, RankDecidesNotLength) {
  const Tokenizer tokenizer(std::make_shared<TokenizerModel>(ModelOf({{"b", "c"}, {"a", "b"}, {"ab", "c"}})));
  EXPECT_THAT(Spelled(tokenizer, "abc"), ElementsAre("a", "bc"));  // "abc" is a token that no merges reach
}

TEST(MergingTest, WholePieceFirstOnlyForWholePieces) {
  TokenizerModel model = ModelOf({{"a", "b"}, {"ab", "c"}});
  model.tokens.push_back("abcd");
  model.whole_piece_first = true;
  const Tokenizer first(std::make_shared<TokenizerModel>(model));
  EXPECT_THAT(Spelled(first, "abcd"), ElementsAre("abcd"));
  EXPECT_THAT(Spelled(first, "abcdab"), ElementsAre("abc", "d", "ab"));
  model.whole_piece_first = false;
  const Tokenizer merges_only(std::make_shared<TokenizerModel>(model));
  EXPECT_THAT(Spelled(merges_only, "abcd"), ElementsAre("abc", "d"));
}

// Random pieces over few letters, so that merges abound, by all ways.
void ExpectAllWaysEqual(const TokenizerModel& shared, uint32_t seed, size_t longest) {
  const EncodingTables tables(std::make_shared<TokenizerModel>(shared));
  std::mt19937 random(seed);
  MergeScratch scratch;
  for (int i = 0; i < 300; ++i) {
    std::string piece(1 + random() % longest, ' ');
    for (char& c : piece) c = static_cast<char>('a' + random() % 3);
    std::vector<int32_t> by_scan, by_narrow, by_wide;
    MergeByScan(tables.byte_ids, tables.pairs, piece, scratch, by_scan);
    MergeByNarrowBuckets(tables.byte_ids, tables.pairs, piece, scratch, by_narrow);
    MergeByWideBuckets(tables.byte_ids, tables.pairs, piece, scratch, by_wide);
    ASSERT_EQ(by_scan, NaiveMerging(shared, piece)) << piece;
    ASSERT_EQ(by_narrow, by_scan) << piece;
    ASSERT_EQ(by_wide, by_scan) << piece;
  }
}

TEST(MergingTest, ScanAndBucketsEqualTheRule) {
  ExpectAllWaysEqual(
      ModelOf({{"a", "b"}, {"c", "a"}, {"ab", "ab"}, {"a", "a"}, {"b", "ca"}, {"aa", "c"}, {"abab", "c"}, {"c", "c"}}),
      1, 60);
}

// "abc" is made in two ways, and merges come in orders in which a token is used before one of its merges. No trainer
// writes such a list, but a file may hold it.
TEST(MergingTest, TokensUsedBeforeTheyAreMade) {
  TokenizerModel model = ModelOf({{"a", "b"}, {"c", "ab"}, {"b", "c"}, {"a", "bc"}, {"ab", "c"}});
  ExpectAllWaysEqual(model, 2, 60);
  std::rotate(model.merges.begin(), model.merges.begin() + 1, model.merges.end());
  ASSERT_TRUE(Validate(model).ok());
  ExpectAllWaysEqual(model, 3, 60);
  std::reverse(model.merges.begin(), model.merges.end());
  ExpectAllWaysEqual(model, 4, 60);
}

// The worked example of docs/tokenizer_files.md.
TEST(EncoderTest, ExampleOfThePage) {
  TrainerOptions options;
  options.vocabulary_size = 321;
  const auto model = TrainTokenizer(SourceOf({"abab"}), options);
  ASSERT_TRUE(model.ok());
  EXPECT_THAT(Encoded(Tokenizer(std::make_shared<TokenizerModel>(*model)), "ab abab"), ElementsAre(256, 220, 256, 256));
}

TEST(EncoderTest, EmptyTextHasNoIds) { EXPECT_THAT(Encoded(SmallTokenizer(SplitPattern::kQwen2), ""), IsEmpty()); }

TEST(EncoderTest, HostileTextEnds) {
  const Tokenizer tokenizer(std::make_shared<TokenizerModel>(
      ModelOf({{"a", "a"}, {"aa", "aa"}, {" ", " "}, {"\n", "\n"}, {"!", "!"}, {"!!", "!!"}})));
  for (const char c : {'a', ' ', '\n', '!'}) {
    const std::string text(10'000'000, c);
    const std::vector<int32_t> ids = Encoded(tokenizer, text);
    EXPECT_EQ(*tokenizer.Decode(ids), text);
  }
}

class EncoderByPatternTest : public testing::TestWithParam<SplitPattern> {};

TEST_P(EncoderByPatternTest, RandomBytesComeBack) {
  const Tokenizer tokenizer = SmallTokenizer(GetParam(), 90);
  Encoder encoder(tokenizer);
  std::mt19937 random(5);
  std::vector<int32_t> ids;
  for (int i = 0; i < 2000; ++i) {
    std::string text(random() % 300, ' ');
    for (char& c : text) c = static_cast<char>(random());
    ids.clear();
    encoder.Encode(text, ids);
    ASSERT_EQ(*tokenizer.Decode(ids), text) << absl::CHexEscape(text);
  }
}

TEST_P(EncoderByPatternTest, WarmEqualsColdEqualsTheRule) {
  const Tokenizer tokenizer = SmallTokenizer(GetParam(), 90);
  Encoder warm(tokenizer);
  StringFuzzer fuzzer(6);
  std::array<size_t, 8> ends;
  for (int i = 0; i < 1000; ++i) {
    const std::string text = fuzzer.Next(/*break_bytes=*/true);
    std::vector<int32_t> first = {-7}, second, rule;  // ids are appended
    warm.Encode(text, first);
    warm.Encode(text, second);
    ASSERT_EQ(first[0], -7);
    ASSERT_EQ(std::vector<int32_t>(first.begin() + 1, first.end()), second);
    ASSERT_EQ(*tokenizer.Decode(second), text);
    if (text.size() > 400) continue;  // the rule takes its time
    for (size_t begin = 0, count = 0; (count = SplitText(GetParam(), text, begin, ends)) > 0;) {
      for (size_t j = 0; j < count; ++j) {
        const std::vector<int32_t> ids = NaiveMerging(tokenizer.model(), text.substr(begin, ends[j] - begin));
        rule.insert(rule.end(), ids.begin(), ids.end());
        begin = ends[j];
      }
    }
    ASSERT_EQ(second, rule) << absl::CHexEscape(text);
  }
}

// The cache looks up 16 bytes at once: a piece at the very end of a text must not see what lies behind it.
TEST_P(EncoderByPatternTest, EveryPrefixOfAnExactAllocation) {
  const Tokenizer tokenizer = SmallTokenizer(GetParam());
  Encoder encoder(tokenizer);
  const std::string text = MixedText();
  for (size_t size = 0; size <= text.size(); ++size) {
    const std::vector<char> exact(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(size));
    std::vector<int32_t> ids;
    encoder.Encode(absl::string_view(exact.data(), size), ids);
    ASSERT_EQ(ids, Encoded(tokenizer, text.substr(0, size)));
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, EncoderByPatternTest, testing::ValuesIn(kAllSplitPatterns),
                         [](const auto& test) { return std::string(SplitPatternName(test.param)); });

TEST(EncoderTest, ThreadsShareATokenizer) {
  const Tokenizer tokenizer = SmallTokenizer(SplitPattern::kQwen2);
  const std::string text = MixedText();
  const std::vector<int32_t> expected = Encoded(tokenizer, text);
  std::vector<std::vector<int32_t>> ids(4);
  std::vector<std::thread> threads;
  for (auto& of_thread : ids) threads.emplace_back([&] { of_thread = Encoded(tokenizer, text); });
  for (std::thread& thread : threads) thread.join();
  for (const auto& of_thread : ids) EXPECT_EQ(of_thread, expected);
}

TEST(SpecialTokensTest, OrdinaryTextUnlessAllowed) {
  const Tokenizer tokenizer = SmallTokenizer(SplitPattern::kQwen2);
  const std::string text = "a<|endoftext|>b";
  const std::vector<int32_t> ordinary = Encoded(tokenizer, text);
  EXPECT_THAT(ordinary, testing::Not(testing::Contains(tokenizer.end_of_text())));
  EXPECT_EQ(*tokenizer.Decode(ordinary), text);
  std::vector<int32_t> allowed;
  Encoder(tokenizer).EncodeWithSpecialTokens(text, allowed);
  EXPECT_THAT(allowed, ElementsAre(Encoded(tokenizer, "a")[0], tokenizer.end_of_text(), Encoded(tokenizer, "b")[0]));
  EXPECT_EQ(*tokenizer.Decode(allowed), "ab");
  EXPECT_EQ(*tokenizer.Decode(allowed, /*spell_special_tokens=*/true), text);
}

TEST(SpecialTokensTest, LeftmostLongest) {
  TokenizerModel model = ModelOf({});
  AppendSpecialTokens({"<a>", "<a><b>", "<b>"}, model);
  const Tokenizer tokenizer(std::make_shared<TokenizerModel>(model));
  std::vector<int32_t> ids;
  Encoder(tokenizer).EncodeWithSpecialTokens("<<a><b><a><b<b>", ids);
  EXPECT_THAT(ids, ElementsAre('<', 257, 256, '<', 'b', 258));
}

TEST(SpecialTokensTest, TheBlock) {
  const Tokenizer tokenizer = SmallTokenizer(SplitPattern::kQwen2, 60);
  EXPECT_EQ(tokenizer.size(), 256 + 60 + 64);
  EXPECT_EQ(tokenizer.padded_size(), 384);
  EXPECT_EQ(tokenizer.end_of_text(), 316);
  EXPECT_EQ(tokenizer.SpecialToken("<|im_start|>"), 317);
  EXPECT_EQ(tokenizer.SpecialToken("<|reserved_49|>"), 379);
  EXPECT_EQ(tokenizer.SpecialToken("the"), -1);
  EXPECT_EQ(tokenizer.ByteLength(316), 0);
  EXPECT_EQ(tokenizer.ByteLength(0), 1);
}

TEST(DecodeTest, IdsOutOfRangeAreErrors) {
  const Tokenizer tokenizer = SmallTokenizer(SplitPattern::kQwen2);
  for (const int32_t id : {-1, 380, 1 << 30}) {
    const std::vector<int32_t> ids = {1, id};
    EXPECT_THAT(std::string(tokenizer.Decode(ids).status().message()), testing::HasSubstr("at place 1"));
  }
}

}  // namespace
}  // namespace ingot
