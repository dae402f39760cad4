#include "core/model/generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

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

TEST_P(CachedDecoderTest, ASeedRepeatsAndGreedyIsTheLikeliest) {
  const ModelDims& dims = GetParam().dims;
  const auto model = MakeModel(dims, {.B = 1, .T = dims.T});
  const std::vector<int32_t> prompt = {1, 2, 3};
  const auto text = [&](const SamplingOptions& options) {
    auto decoder = CachedDecoder::Create(dims, model->backend(), model->parameters(), dims.T);
    EXPECT_TRUE(decoder.ok());
    std::vector<int32_t> ids = {(*decoder)->FeedAndDraw(prompt, options, 0).value()};
    for (int64_t draw = 1; draw < 10; ++draw) {
      ids.push_back((*decoder)->FeedAndDraw(std::span(&ids.back(), 1), options, draw).value());
    }
    return ids;
  };
  EXPECT_EQ(text({.seed = 5}), text({.seed = 5}));
  EXPECT_NE(text({.seed = 5}), text({.seed = 6}));
  auto decoder = CachedDecoder::Create(dims, model->backend(), model->parameters(), dims.T);
  ASSERT_TRUE(decoder.ok());
  const auto logits = (*decoder)->Feed(prompt);
  ASSERT_TRUE(logits.ok());
  const auto likeliest = std::max_element(logits->begin(), logits->end()) - logits->begin();
  EXPECT_EQ(text({.temperature = 0}).front(), likeliest);
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

}  // namespace
}  // namespace ingot
