#include "core/model/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/core/model/test_models.h"

namespace ingot {
namespace {

class CachedDecoderTest : public testing::TestWithParam<Variant> {};

// -log of the softmax of `logits` at `target`: what Model::Evaluate gives.
double LossOf(std::span<const float> logits, int32_t target) {
  double max = logits[0], sum = 0;
  for (const float z : logits) max = std::max<double>(max, z);
  for (const float z : logits) sum += std::exp(z - max);
  return std::log(sum) + max - logits[target];
}

// Prompts of every length, then single tokens: each gives the same distribution as a forward over all.
TEST_P(CachedDecoderTest, AgreesWithAFullForward) {
  const ModelDims& dims = GetParam().dims;
  const int64_t T = dims.T;
  const auto model = MakeModel(dims, {.B = 1, .T = T});
  TestBatch batch(1, T, dims.V, false);
  std::vector<std::vector<float>> losses(dims.V, std::vector<float>(T));
  for (int32_t v = 0; v < dims.V; ++v) {
    std::fill(batch.targets.begin(), batch.targets.end(), v);
    ASSERT_TRUE(model->Evaluate(batch.input, losses[v].data(), nullptr).ok());
  }
  for (const int64_t prompt : {int64_t{1}, int64_t{7}, int64_t{16}, T}) {
    auto decoder = CachedDecoder::Create(dims, model->backend(), model->parameters(), T);
    ASSERT_TRUE(decoder.ok());
    for (int64_t t = prompt - 1; t < T; ++t) {
      const int64_t fed = (*decoder)->length();
      const auto logits = (*decoder)->Feed(std::span(batch.tokens).subspan(fed, t + 1 - fed));
      ASSERT_TRUE(logits.ok());
      for (int32_t v = 0; v < dims.V; ++v) ASSERT_NEAR(LossOf(*logits, v), losses[v][t], 2e-5) << prompt << " " << t;
    }
    EXPECT_FALSE((*decoder)->Feed(std::vector<int32_t>{1}).ok());  // full
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, CachedDecoderTest, testing::ValuesIn(Variants()),
                         [](const auto& test) { return test.param.name; });

TEST(CachedDecoder, RefusesBadInput) {
  const ModelDims dims = Variants()[0].dims;
  const auto model = MakeModel(dims, {.B = 1, .T = 4});
  EXPECT_FALSE(CachedDecoder::Create(dims, model->backend(), model->parameters(), dims.T + 1).ok());
  auto decoder = CachedDecoder::Create(dims, model->backend(), model->parameters(), 4);
  ASSERT_TRUE(decoder.ok());
  for (const std::vector<int32_t>& ids : {std::vector<int32_t>{}, {-1}, {64}, {1, 2, 3, 4, 5}}) {
    EXPECT_FALSE((*decoder)->Feed(ids).ok());
    EXPECT_EQ((*decoder)->length(), 0);
  }
}

// Frequencies of `draws` draws.
std::map<int32_t, double> Frequencies(const std::vector<float>& logits, const SamplingOptions& options) {
  constexpr int kDraws = 20000;
  std::map<int32_t, double> frequencies;
  for (int draw = 0; draw < kDraws; ++draw) frequencies[SampleToken(logits, options, draw)] += 1.0 / kDraws;
  return frequencies;
}

const std::vector<float> kLogits = {std::log(0.1f), std::log(0.4f), std::log(0.2f), std::log(0.3f), 9};

TEST(SampleToken, FollowsTheSoftmaxAndNeverDrawsPadding) {
  const auto found = Frequencies(kLogits, {.seed = 1, .vocabulary = 4});
  EXPECT_EQ(found.size(), 4u);
  EXPECT_NEAR(found.at(0), 0.1, 0.012);
  EXPECT_NEAR(found.at(1), 0.4, 0.012);
  EXPECT_NEAR(found.at(3), 0.3, 0.012);
}

TEST(SampleToken, TemperatureSharpens) {
  EXPECT_EQ(SampleToken(kLogits, {.temperature = 0, .vocabulary = 4}, 0), 1);
  EXPECT_EQ(SampleToken(kLogits, {.temperature = 0}, 0), 4);
  const auto found = Frequencies(kLogits, {.temperature = 0.5, .seed = 2, .vocabulary = 4});
  EXPECT_NEAR(found.at(1), 0.16 / 0.30, 0.012);
}

TEST(SampleToken, TopKAndTopP) {
  const auto top_2 = Frequencies(kLogits, {.top_k = 2, .seed = 3, .vocabulary = 4});
  EXPECT_EQ(top_2.size(), 2u);
  EXPECT_NEAR(top_2.at(1), 4.0 / 7, 0.012);
  const auto nucleus = Frequencies(kLogits, {.top_p = 0.65, .seed = 4, .vocabulary = 4});
  EXPECT_EQ(nucleus.size(), 2u);  // 0.4 + 0.3
  EXPECT_NEAR(nucleus.at(3), 3.0 / 7, 0.012);
  EXPECT_EQ(Frequencies(kLogits, {.top_p = 1e-9, .vocabulary = 4}).size(), 1u);
}

TEST(SampleToken, ASeedRepeats) {
  const SamplingOptions options = {.seed = 5, .vocabulary = 4};
  std::vector<int32_t> first, second, other;
  for (int draw = 0; draw < 50; ++draw) {
    first.push_back(SampleToken(kLogits, options, draw));
    second.push_back(SampleToken(kLogits, options, draw));
    other.push_back(SampleToken(kLogits, {.seed = 6, .vocabulary = 4}, draw));
  }
  EXPECT_EQ(first, second);
  EXPECT_NE(first, other);
}

TEST(SampleToken, TakesNotANumber) {
  const std::vector<float> logits = {NAN, 1, NAN};
  EXPECT_EQ(SampleToken(logits, {.top_p = 0.5}, 0), 1);
  EXPECT_EQ(SampleToken(std::vector<float>{NAN}, {}, 0), 0);
}

}  // namespace
}  // namespace ingot
