#include "core/model/dims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ingot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr ModelDims kQwen25Half = {
    .L = 24, .C = 896, .H = 14, .K = 2, .D = 64, .F = 4864, .V = 151936, .T = 1024, .qkv_bias = true};
constexpr ModelDims kGpt2 = {.architecture = Architecture::kGpt2,
                             .L = 12,
                             .C = 768,
                             .H = 12,
                             .K = 12,
                             .D = 64,
                             .F = 3072,
                             .V = 50257,
                             .T = 1024};

TEST(Problems, NoneInKnownModels) {
  EXPECT_THAT(Problems(kQwen25Half), IsEmpty());
  EXPECT_THAT(Problems(kGpt2), IsEmpty());
}

TEST(Problems, AllAtOnce) {
  ModelDims dims = kQwen25Half;
  dims.L = 0;
  dims.V = -4;
  dims.norm_eps = 0;
  EXPECT_THAT(Problems(dims), ElementsAre(HasSubstr("model.layers: expected"), HasSubstr("model.vocabulary"),
                                          HasSubstr("model.norm_eps")));
}

TEST(Problems, RefusesWhatNoClassMeans) {
  ModelDims both = kQwen25Half;
  both.qk_norm = true;
  EXPECT_THAT(Problems(both), ElementsAre(HasSubstr("model.qk_norm")));
  ModelDims wide = kQwen25Half;
  wide.D = 128;
  EXPECT_THAT(Problems(wide), ElementsAre(HasSubstr("model.head_width")));
  wide.qkv_bias = false;  // LlamaForCausalLM has a head width of its own
  EXPECT_THAT(Problems(wide), IsEmpty());
  wide.H = 12;
  EXPECT_THAT(Problems(wide), ElementsAre(HasSubstr("model.heads: expected a divisor of channels")));
  wide.qk_norm = true;  // Qwen3 does not ask for it
  EXPECT_THAT(Problems(wide), IsEmpty());
  ModelDims gpt2 = kGpt2;
  gpt2.K = 4;
  gpt2.qk_norm = gpt2.qkv_bias = true;
  EXPECT_THAT(Problems(gpt2), SizeIs(3));
}

TEST(Problems, OddHeadWidthAndUnevenGroups) {
  ModelDims dims = kQwen25Half;
  dims.qkv_bias = false;
  dims.D = 63;
  dims.K = 4;
  EXPECT_THAT(Problems(dims), ElementsAre(HasSubstr("model.kv_heads"), HasSubstr("model.head_width")));
}

TEST(Problems, SizesThatWouldOverflow) {
  ModelDims dims = kQwen25Half;
  dims.C = dims.H = dims.F = int64_t{1} << 30;
  EXPECT_FALSE(Problems(dims).empty());
  dims.C = int64_t{1} << 62;
  EXPECT_FALSE(Problems(dims).empty());
}

// 6 * (weights of products) + causal attention: GFLOP a token at T = 1024, worked out by hand from the shapes.
TEST(TrainingFlops, KnownModels) {
  EXPECT_NEAR(TrainingFlopsPerToken(kGpt2, 1024) * 1e-9, 0.7979, 5e-5);
  EXPECT_NEAR(TrainingFlopsPerToken(kQwen25Half, 1024) * 1e-9, 3.0960, 5e-5);
}

}  // namespace
}  // namespace ingot
