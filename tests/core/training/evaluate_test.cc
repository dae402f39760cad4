#include "core/training/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/model/generate.h"
#include "core/training/tasks.h"
#include "tests/core/training/tiny_run.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TokenSource SourceOf(const std::vector<int32_t>& ids) {
  return {.tokens = static_cast<int64_t>(ids.size()),
          .copy = [ids](int64_t first, int64_t count, int32_t* to) { std::copy_n(ids.begin() + first, count, to); }};
}

TEST(Windows, EveryTokenButTheFirstIsPredictedOnce) {
  const WindowSource source = WindowsOf(SourceOf({10, 11, 12, 13, 14, 15, 16, 17}), 2, 3);
  ASSERT_EQ(source.windows, 3);
  TokenBatch batch;
  ASSERT_TRUE(source.read(0, batch).ok());
  EXPECT_THAT(batch.tokens, ElementsAre(10, 11, 12, 13, 14, 15));
  EXPECT_THAT(batch.targets, ElementsAre(11, 12, 13, 14, 15, 16));
  ASSERT_TRUE(source.read(2, batch).ok());
  EXPECT_THAT(batch.targets, ElementsAre(17, -1, -1, -1, -1, -1));
  EXPECT_EQ(batch.target_count, 1);
}

TEST(Windows, AStreamThatEndsWithAWindow) {
  EXPECT_EQ(WindowsOf(SourceOf({1, 2, 3, 4}), 1, 3).windows, 1);
  EXPECT_EQ(WindowsOf(SourceOf({1, 2, 3, 4, 5}), 1, 3).windows, 2);
  EXPECT_EQ(WindowsOf(SourceOf({1}), 1, 3).windows, 0);
}

// A trained model of the tiny dataset, and log-probabilities of it by another way: decoding token by token.
class EvaluateTest : public TinyRun {
 protected:
  void SetUp() override {
    TinyRun::SetUp();
    ASSERT_TRUE(Train("run", {"training.steps=30", "model.context=64"}).ok());
    auto tokenizer = Tokenizer::Load(directory_ / "data-tokenizer");
    ASSERT_TRUE(tokenizer.ok());
    tokenizer_ = std::make_unique<Tokenizer>(*tokenizer);
  }

  std::unique_ptr<Model> ModelOf(int64_t B, int64_t T) {
    auto model = Model::Create(trainer_->model().dims(), {.B = B, .T = T});
    EXPECT_TRUE(model.ok());
    const std::vector<float> weights = Weights();
    std::copy(weights.begin(), weights.end(), (*model)->parameters().data<float>());
    return *std::move(model);
  }

  // Sum of ln p of ids[from...], each from all before it.
  double LogProbability(const std::vector<int32_t>& ids, size_t from) {
    const Model& model = trainer_->model();
    auto decoder = CachedDecoder::Create(model.dims(), model.backend(), model.parameters(), model.dims().T);
    EXPECT_TRUE(decoder.ok());
    double sum = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto logits = (*decoder)->Feed(std::span(&ids[i], 1));
      double total = 0;
      for (const float logit : *logits) total += std::exp(static_cast<double>(logit));
      if (i + 1 >= from) sum += (*logits)[ids[i + 1]] - std::log(total);
    }
    return sum;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
};

TEST_F(EvaluateTest, LossIsTheSumOfWindowsWhateverTheBatch) {
  std::vector<int32_t> ids;
  Encoder(*tokenizer_).Encode(TinyText(12), ids);
  ids.push_back(tokenizer_->end_of_text());
  const int64_t T = 16;
  double nats = 0;
  for (size_t first = 0; first + 1 < ids.size(); first += T) {
    const size_t end = std::min(first + T + 1, ids.size());
    nats -= LogProbability({ids.begin() + first, ids.begin() + end}, 1);
  }
  for (const int64_t B : {1, 4}) {
    const EvalTotals totals = Evaluate(*ModelOf(B, T), WindowsOf(SourceOf(ids), B, T), *tokenizer_).value();
    EXPECT_EQ(totals.targets, static_cast<int64_t>(ids.size()) - 1);
    EXPECT_EQ(totals.bytes, static_cast<int64_t>(TinyText(12).size()) - tokenizer_->ByteLength(ids[0]));
    EXPECT_NEAR(totals.nats, nats, 1e-4 * nats);
    EXPECT_NEAR(totals.bits_per_byte(), nats / std::log(2.0) / static_cast<double>(totals.bytes), 1e-3);
    EXPECT_NEAR(totals.perplexity(), std::exp(totals.loss()), 1e-9);
  }
}

TEST_F(EvaluateTest, DamagedDataIsAnError) {
  WindowSource source = WindowsOf(SourceOf({1, 2, 3, 4}), 1, 2);
  source.read = [](int64_t, TokenBatch&) { return absl::DataLossError("data/ is damaged"); };
  const auto totals = Evaluate(*ModelOf(1, 2), source, *tokenizer_);
  EXPECT_EQ(totals.status().message(), "data/ is damaged");
}

TEST_F(EvaluateTest, ChoicesAreScoredByTheirOwnTokens) {
  const ChoiceQuestion question = {
      .query = "the cat sees ", .choices = {"the dog.", "xq zv", "a small bird."}, .gold = 2};
  std::vector<double> scores;
  for (const std::string& choice : question.choices) {
    std::vector<int32_t> whole, context;
    Encoder encoder(*tokenizer_);
    encoder.Encode("the cat sees  " + choice, whole);
    encoder.Encode("the cat sees", context);
    scores.push_back(LogProbability(whole, context.size()));
  }
  const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
  for (int64_t gold = 0; gold < 3; ++gold) {
    ChoiceQuestion asked = question;
    asked.gold = gold;
    const auto result = RunTask(*ModelOf(2, 64), *tokenizer_, {asked});
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->right, gold == best ? 1 : 0) << gold;
  }
}

TEST_F(EvaluateTest, AModelKnowsItsOwnLanguage) {
  const std::vector<ChoiceQuestion> questions = {
      {.query = "the cat", .choices = {"sees the dog.", "dog dog the."}, .gold = 0},
      {.query = "", .choices = {".. ", "my old friend likes"}, .gold = 1},
      {.query = "a small bird likes my old", .choices = {"cat", "friend"}, .gold = 1}};
  const auto result = RunTask(*ModelOf(4, 64), *tokenizer_, questions);
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(result->questions, 3);
  EXPECT_GE(result->right_normalised, 2);
}

TEST(Tasks, MistakesAreNamedWithTheirLine) {
  const TemporaryDirectory directory;
  const auto error = [&](const std::string& line) {
    const std::string good = "{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"gold\": 1}\n\n";
    EXPECT_TRUE(WriteFileAtomically(directory / "t.jsonl", good + line).ok());
    return std::string(ReadTask(directory / "t.jsonl").status().message());
  };
  EXPECT_EQ(error("{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"gold\": 0}"), "");
  EXPECT_THAT(error("{\"query\": 1}"), HasSubstr("t.jsonl:3: \"query\""));
  EXPECT_THAT(error("{\"query\": \"q\", \"choices\": [\"a\"], \"gold\": 0}"), HasSubstr("\"choices\""));
  EXPECT_THAT(error("{\"query\": \"q\", \"choices\": [\"a\", \"b\"], \"gold\": 2}"), HasSubstr("\"gold\""));
  EXPECT_THAT(error("nonsense"), HasSubstr("t.jsonl:3"));
}

}  // namespace
}  // namespace ingot
