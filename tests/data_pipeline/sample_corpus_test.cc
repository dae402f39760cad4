#include "data_pipeline/sample_corpus.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "data_pipeline/documents.h"
#include "data_pipeline/sample_stories.h"
#include "tests/data_pipeline/test_files.h"

namespace ingot {
namespace {

using ::testing::HasSubstr;
using Part = StoryGrammar::Part;
using Kind = StoryGrammar::Kind;

// Finds every derivation of a text by trying all alternatives everywhere: slow, and unlike the sampler in every way.
class Derivations {
 public:
  Derivations(const StoryGrammar& grammar, std::string text) : grammar_(grammar), text_(std::move(text)) {
    for (State& state : ExpandFrom(0, State{})) AddStory(state);
  }
  size_t count() const { return bits_.size(); }
  double bits() const { return bits_.at(0); }

 private:
  struct State {
    size_t at = 0;
    double bits = 0;
    int next = -1;
    std::array<std::string, StoryGrammar::kRegisters> remembered = {};
    std::array<int, StoryGrammar::kRegisters> forms = {};
  };

  void AddStory(const State& state) {
    if (state.next < 0) {
      if (state.at == text_.size()) bits_.push_back(state.bits);
      return;
    }
    if (state.at >= text_.size() || text_[state.at] != ' ') return;
    State blank = state;
    ++blank.at;
    for (const State& after : ExpandFrom(state.next, blank)) AddStory(after);
  }

  std::vector<State> ExpandFrom(int index, const State& from) const {
    const auto& rule = grammar_.rules()[static_cast<size_t>(index)];
    std::vector<State> all;
    for (const auto& alternative : rule.alternatives) {
      std::vector<State> states = {from};
      states[0].bits -= std::log2(static_cast<double>(alternative.weight) / static_cast<double>(rule.total_weight));
      for (const Part& part : alternative.parts) {
        std::vector<State> after;
        for (const State& state : states) Take(part, state, after);
        states = std::move(after);
      }
      for (State& state : states) state.next = alternative.next;
      all.insert(all.end(), states.begin(), states.end());
    }
    return all;
  }

  void Take(const Part& part, const State& state, std::vector<State>& after) const {
    const auto reg = static_cast<size_t>(part.reg);
    switch (part.kind) {
      case Kind::kText:
        return TakeText(part.text, state, after);
      case Kind::kRecall:
        return TakeText(state.remembered[reg], state, after);
      case Kind::kAgree:
        return TakeText(part.forms[static_cast<size_t>(state.forms[reg])], state, after);
      case Kind::kRule:
      case Kind::kRemember:
        for (State inner : ExpandFrom(part.rule, state)) {
          if (part.kind == Kind::kRemember) {
            inner.remembered[reg] = text_.substr(state.at, inner.at - state.at);
            inner.forms[reg] = part.form;
          }
          after.push_back(inner);
        }
    }
  }
  void TakeText(const std::string& expected, const State& state, std::vector<State>& after) const {
    if (text_.compare(state.at, expected.size(), expected) != 0) return;
    after.push_back(state);
    after.back().at += expected.size();
  }

  const StoryGrammar& grammar_;
  const std::string text_;
  std::vector<double> bits_;
};

TEST(SampleCorpus, EveryStoryHasOneDerivation) {
  const StoryGrammar grammar(kSampleStories);
  for (uint64_t index = 0; index < 300; ++index) {
    const StoryGrammar::Story story = grammar.Sample(7, index);
    const Derivations derivations(grammar, story.text);
    ASSERT_EQ(derivations.count(), 1u) << story.text;
    ASSERT_NEAR(derivations.bits(), story.bits, 1e-9 * story.bits) << story.text;
  }
}

TEST(SampleCorpus, TheDerivationCounterFindsAmbiguity) {
  const StoryGrammar grammar("Story: a b | [A] b | a [B]\nA: a\nB: b | c\n");
  EXPECT_EQ(Derivations(grammar, "a b").count(), 3u);
  EXPECT_EQ(Derivations(grammar, "a c").count(), 1u);
  EXPECT_EQ(Derivations(grammar, "a d").count(), 0u);
}

// In every rule that needs no register, all texts are enumerated: none occurs twice, and probabilities sum to 1.
class Texts {
 public:
  explicit Texts(const StoryGrammar& grammar) : grammar_(grammar) {}
  // Texts of a rule with their probabilities; empty if it uses registers or has more than `most` texts.
  std::multimap<std::string, double> Of(int index, size_t most) const {
    const auto& rule = grammar_.rules()[static_cast<size_t>(index)];
    std::multimap<std::string, double> all;
    for (const auto& alternative : rule.alternatives) {
      std::multimap<std::string, double> texts = {
          {"", static_cast<double>(alternative.weight) / static_cast<double>(rule.total_weight)}};
      for (const Part& part : alternative.parts) {
        std::multimap<std::string, double> tails;
        if (part.kind == Kind::kText) tails = {{part.text, 1.0}};
        if (part.kind == Kind::kRule) tails = Of(part.rule, most);
        if (alternative.next >= 0 || tails.empty() || texts.size() * tails.size() > most) return {};
        std::multimap<std::string, double> joined;
        for (const auto& text : texts) {
          for (const auto& tail : tails) joined.emplace(text.first + tail.first, text.second * tail.second);
        }
        texts = std::move(joined);
      }
      all.insert(texts.begin(), texts.end());
    }
    return all;
  }

 private:
  const StoryGrammar& grammar_;
};

TEST(SampleCorpus, NoTextOfAPieceOccursTwice) {
  const StoryGrammar grammar(kSampleStories);
  int enumerated = 0;
  for (size_t i = 0; i < grammar.rules().size(); ++i) {
    const auto texts = Texts(grammar).Of(static_cast<int>(i), 20000);
    if (texts.empty()) continue;
    ++enumerated;
    double sum = 0;
    std::set<std::string> different;
    for (const auto& [text, probability] : texts) {
      sum += probability;
      EXPECT_TRUE(different.insert(text).second) << grammar.rules()[i].name << ": " << text;
    }
    EXPECT_NEAR(sum, 1, 1e-9) << grammar.rules()[i].name;
  }
  EXPECT_GT(enumerated, 20);
}

struct Moments {
  double mean = 0, error = 0;  // of the mean
};

Moments MomentsOf(const std::vector<double>& values) {
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double n = static_cast<double>(values.size()), mean = sum / n;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, std::sqrt(squares / (n - 1) / n)};
}

TEST(SampleCorpus, TheEntropyIsTheMeanOverManyStories) {
  const StoryGrammar grammar(kSampleStories);
  const StoryEntropy entropy = grammar.Entropy();
  std::vector<double> bits, bytes, differences;
  for (uint64_t index = 0; index < 50000; ++index) {
    const StoryGrammar::Story story = grammar.Sample(99, index);
    bits.push_back(story.bits);
    bytes.push_back(static_cast<double>(story.text.size()));
    // The ratio of means: bits - rate * bytes has mean zero, and varies much less than either.
    differences.push_back(bits.back() - entropy.bits_per_byte() * bytes.back());
  }
  const Moments b = MomentsOf(bits), n = MomentsOf(bytes), d = MomentsOf(differences);
  EXPECT_NEAR(b.mean, entropy.bits_per_story, 3 * b.error);
  EXPECT_NEAR(n.mean, entropy.bytes_per_story, 3 * n.error);
  EXPECT_NEAR(d.mean, 0, 3 * d.error);
  EXPECT_LT(d.error / n.mean, 0.0005);  // the check is sharp: half a thousandth of a bit per byte
}

// By hand.
TEST(SampleCorpus, EntropyOfSmallGrammars) {
  const StoryEntropy coin = StoryGrammar("Story: heads | tails!\n").Entropy();
  EXPECT_DOUBLE_EQ(coin.bits_per_story, 1);
  EXPECT_DOUBLE_EQ(coin.bytes_per_story, 5.5);
  // A remembered word costs its bits once and its bytes each time; the form follows the rule it came from.
  const StoryEntropy memory =
      StoryGrammar("Story: {a.f=Long} {a} {a:x/yyyy} | {a.m=Short} {a} {a:x/yyyy}\nLong: aaa | bbbbb\nShort: c | d\n")
          .Entropy();
  EXPECT_DOUBLE_EQ(memory.bits_per_story, 2);
  EXPECT_DOUBLE_EQ(memory.bytes_per_story, 0.5 * (4 + 1 + 4 + 1 + 1) + 0.5 * (1 + 1 + 1 + 1 + 4));
  // n words with probability 2^-n: H = 2 bits, E[n] = 2, a blank between.
  const StoryEntropy chain = StoryGrammar("Story: ab -> Story | ab\n").Entropy();
  EXPECT_NEAR(chain.bits_per_story, 2, 1e-12);
  EXPECT_NEAR(chain.bytes_per_story, 2 * 2 + 1, 1e-12);
  const StoryEntropy weighted = StoryGrammar("Story: 3~ a | b\n").Entropy();
  EXPECT_NEAR(weighted.bits_per_story, 0.811278124459133, 1e-12);
}

TEST(SampleCorpus, FilesAreAFunctionOfBytesAndSeed) {
  const TestDirectory dir;
  const std::string text = dir / "a.txt", lines = dir / "a.jsonl";
  const auto corpus = WriteSampleCorpus(text, 100000, 3);
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_GE(corpus->text_bytes, 100000);
  EXPECT_LT(corpus->text_bytes, 110000);
  ASSERT_TRUE(WriteSampleCorpus(lines, 100000, 3).ok());
  const std::string first = ReadAll(text);
  ASSERT_TRUE(WriteSampleCorpus(text, 100000, 3).ok());
  EXPECT_EQ(ReadAll(text), first);
  ASSERT_TRUE(WriteSampleCorpus(dir / "b.txt", 100000, 4).ok());
  EXPECT_NE(ReadAll(dir / "b.txt"), first);
  // Both forms hold the same documents.
  const auto a = DocumentReader::Open({text}, {.blank_line_documents = true});
  const auto b = DocumentReader::Open({lines}, {});
  std::string story, same;
  for (int64_t i = 0; i < corpus->stories; ++i) {
    ASSERT_TRUE((*a)->Next(story).value() && (*b)->Next(same).value());
    ASSERT_EQ(story, same);
  }
  EXPECT_FALSE((*a)->Next(story).value() || (*b)->Next(same).value());
  EXPECT_EQ((*a)->counts().text_bytes, corpus->text_bytes);
}

TEST(SampleCorpus, BadRequests) {
  const TestDirectory dir;
  const auto message = [](const auto& corpus) { return std::string(corpus.status().message()); };
  EXPECT_THAT(message(WriteSampleCorpus(dir / "a.md", 100, 1)),
              HasSubstr("expected a name that ends in .jsonl or .txt"));
  EXPECT_THAT(message(WriteSampleCorpus(dir / "a.txt", 0, 1)), HasSubstr("expected at least 1"));
  EXPECT_THAT(message(WriteSampleCorpus(dir / "none/a.txt", 9, 1)), HasSubstr("none/a.txt"));
}

TEST(StoryGrammarDeathTest, MistakesInAGrammarAreNamed) {
  EXPECT_DEATH(StoryGrammar("Story: [Missing]\n"), "rule Missing is not defined");
  EXPECT_DEATH(StoryGrammar("Story: {a}\n").Entropy(), "a register is used before it is filled");
}

}  // namespace
}  // namespace ingot
