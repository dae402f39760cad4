#include "tokenizer/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/tokenizer/test_tokenizers.h"
#include "tokenizer/bytes.h"
#include "tokenizer/merge_learner.h"
#include "tokenizer/special_tokens.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<TokenizerModel> Trained(const std::vector<std::string>& documents, int64_t merges,
                                       TrainerOptions options = {}) {
  options.vocabulary_size = 256 + merges + 64;
  return TrainTokenizer(SourceOf(documents), options);
}

// The tokens that merges make, in their order.
std::vector<std::string> Learned(const absl::StatusOr<TokenizerModel>& model) {
  INGOT_CHECK(model.ok(), "%s", std::string(model.status().message()).c_str());
  std::vector<std::string> tokens;
  for (const Merge& merge : model->merges) tokens.push_back(model->tokens[merge.result]);
  return tokens;
}

std::string Error(const absl::StatusOr<TokenizerModel>& model) { return std::string(model.status().message()); }

// Training as its definition says, counting everything anew before each merge.
std::vector<Merge> NaiveTraining(const std::map<std::string, int64_t>& words, int merges, int64_t least) {
  std::vector<std::pair<std::vector<int32_t>, int64_t>> sequences;
  for (const auto& [word, count] : words) {
    std::vector<int32_t> ids;
    for (const char byte : word) {
      ids.push_back(static_cast<int32_t>(std::find(kAlphabet.begin(), kAlphabet.end(), static_cast<uint8_t>(byte)) -
                                         kAlphabet.begin()));
    }
    sequences.emplace_back(std::move(ids), count);
  }
  std::vector<Merge> learned;
  for (int32_t result = 256; result < 256 + merges; ++result) {
    std::map<std::pair<int32_t, int32_t>, int64_t> counts;
    for (const auto& [ids, count] : sequences) {
      for (size_t i = 0; i + 1 < ids.size(); ++i) counts[{ids[i], ids[i + 1]}] += count;
    }
    std::pair<int32_t, int32_t> best;
    int64_t most = 0;
    for (const auto& [pair, count] : counts) {
      if (count > most) {
        most = count;
        best = pair;
      }
    }
    if (most < std::max<int64_t>(1, least)) break;
    learned.push_back({best.first, best.second, result});
    for (auto& [ids, count] : sequences) {
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        if (ids[i] != best.first || ids[i + 1] != best.second) continue;
        ids[i] = result;
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }
  return learned;
}

TEST(MergeLearnerTest, EqualsTheDefinition) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    std::map<std::string, int64_t> words;
    for (size_t n = 1 + random() % 30; n > 0; --n) {
      std::string word(2 + random() % 12, ' ');
      for (char& c : word) c = static_cast<char>('a' + random() % (1 + round % 4));
      words[word] = 1 + random() % 5;
    }
    const int64_t least = round % 3;
    MergeLearner learner(least);
    for (const auto& [word, count] : words) learner.AddWord(word, count);
    learner.CountPairs();
    std::vector<Merge> learned;
    for (Merge merge; learned.size() < 40 && learner.LearnMerge(static_cast<int32_t>(256 + learned.size()), merge);) {
      learned.push_back(merge);
    }
    ASSERT_EQ(learned, NaiveTraining(words, 40, least)) << "round " << round;
  }
}

TEST(MergeLearnerTest, CountsBeyond32Bits) {
  MergeLearner learner(6);
  learner.AddWord("ab", int64_t{3} << 40);
  learner.AddWord("cd", (int64_t{3} << 40) + 1);
  learner.AddWord("ef", int64_t{5});
  learner.CountPairs();
  Merge merge;
  ASSERT_TRUE(learner.LearnMerge(256, merge));
  EXPECT_EQ(kAlphabet[merge.left], 'c');
  ASSERT_TRUE(learner.LearnMerge(257, merge));
  EXPECT_EQ(kAlphabet[merge.left], 'a');
  EXPECT_FALSE(learner.LearnMerge(258, merge));
}

TEST(TrainerTest, OneRepeatedWord) {
  // All pairs tie until "abcd" is whole; the blank, spelled U+0120, has a larger id than any letter.
  EXPECT_THAT(Learned(Trained({"abcd abcd abcd abcd"}, 4)), ElementsAre("ab", "cd", "abcd", " abcd"));
}

TEST(TrainerTest, TiesGoToTheSmallestPair) {
  EXPECT_THAT(Learned(Trained({"dc", "ba", "fe"}, 3)), ElementsAre("ba", "dc", "fe"));
  // Ids are by code point of the spelling: a blank, spelled U+0120, comes after all ASCII.
  EXPECT_THAT(Learned(Trained({" z", "zz"}, 2)), ElementsAre("zz", " z"));
}

TEST(TrainerTest, RunsOfOneLetter) {
  EXPECT_THAT(Learned(Trained({"aaaaaaaa"}, 3)), ElementsAre("aa", "aaaa", "aaaaaaaa"));
}

TEST(TrainerTest, PiecesAreNotCrossed) {
  for (const std::string& token : Learned(Trained({"one two one two 12 12"}, 6))) {
    EXPECT_NE(token.substr(0, 2), "e ");
    EXPECT_NE(token, "12");
  }
}

TEST(TrainerTest, LinesAreCutOnRequest) {
  const std::vector<std::string> documents = {"a\n\n\nb", "c\n\n\nd"};
  EXPECT_THAT(Learned(Trained(documents, 1)), ElementsAre("\n\n"));
  TrainerOptions options;
  options.lines = true;
  EXPECT_THAT(Error(Trained(documents, 1, options)), HasSubstr("at most 320"));
}

TEST(TrainerTest, SpecialSpellingsInTextAreText) {
  const auto model = Trained({"<|endoftext|> <|endoftext|> <think> <think>"}, 12);
  ASSERT_TRUE(model.ok());
  EXPECT_TRUE(Validate(*model).ok());
  EXPECT_THAT(Learned(model), testing::Contains("|>"));
}

TEST(TrainerTest, VocabularyOrder) {
  const auto model = Trained({"abab"}, 1);
  ASSERT_TRUE(model.ok());
  for (int id = 0; id < 256; ++id) EXPECT_EQ(model->tokens[id], std::string(1, static_cast<char>(kAlphabet[id])));
  EXPECT_EQ(model->tokens[256], "ab");
  EXPECT_EQ(model->tokens[257], kEndOfText);
  EXPECT_EQ(CountSpecial(*model), 64);
  EXPECT_EQ(model->tokens.size(), 321u);
}

TEST(TrainerTest, Errors) {
  TrainerOptions options;
  options.vocabulary_size = 319;
  EXPECT_THAT(Error(TrainTokenizer(SourceOf({"text"}), options)), HasSubstr("at least 320"));
  options.vocabulary_size = int64_t{1} << 40;
  EXPECT_THAT(Error(TrainTokenizer(SourceOf({"text"}), options)), HasSubstr("at most 16777216"));
  EXPECT_THAT(Error(Trained({}, 1)), HasSubstr("no text"));
  EXPECT_THAT(Error(Trained({"", ""}, 0)), HasSubstr("no text"));
  EXPECT_THAT(Error(Trained({"abcd"}, 1000)), HasSubstr("--vocab-size 1320: the text supports at most 323"));
  TrainerOptions rare;
  rare.min_frequency = 2;
  EXPECT_THAT(Error(Trained({"abab"}, 2, rare)), HasSubstr("at most 321 at this --min-frequency"));
  const TextSource failing = [](std::string&) -> absl::StatusOr<bool> {
    return absl::DataLossError("file.gz: broken");
  };
  options.vocabulary_size = 400;
  EXPECT_EQ(Error(TrainTokenizer(failing, options)), "file.gz: broken");
}

TEST(TrainerTest, NoMergesAreAVocabularyToo) {
  const auto model = Trained({"x"}, 0);
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(model->tokens.size(), 320u);
}

TEST(TrainerTest, AnyNumberOfThreadsAndOrderGivesTheSame) {
  StringFuzzer fuzzer(9);
  std::vector<std::string> documents;
  for (int i = 0; i < 400; ++i) documents.push_back(fuzzer.Next(/*break_bytes=*/true));
  std::string large;  // longer than a chunk: it is cut for the threads
  while (large.size() < 3'000'000) large += MixedText() + documents[fuzzer.Below(400)];
  documents.push_back(large);
  TrainerOptions options;
  options.threads = 1;
  const auto expected = Trained(documents, 500, options);
  ASSERT_TRUE(expected.ok());
  std::reverse(documents.begin(), documents.end());
  for (const int threads : {2, 8}) {
    options.threads = threads;
    const auto model = Trained(documents, 500, options);
    ASSERT_TRUE(model.ok());
    EXPECT_EQ(model->merges, expected->merges);
    EXPECT_EQ(model->tokens, expected->tokens);
  }
}

TEST(TrainerTest, LimitStopsReading) {
  int64_t given = 0;
  const TextSource endless = [&given](std::string& text) -> absl::StatusOr<bool> {
    text = "some words ";
    given += static_cast<int64_t>(text.size());
    return true;
  };
  TrainerOptions options;
  options.vocabulary_size = 321;
  options.limit_bytes = 1000;
  EXPECT_TRUE(TrainTokenizer(endless, options).ok());
  EXPECT_LE(given, 1011);
}

}  // namespace
}  // namespace ingot
