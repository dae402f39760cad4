#include "core/training/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/file.h"
#include "core/model/parameter_table.h"
#include "tests/core/training/checkpoint_fixture.h"

namespace ingot {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::string Preset(const std::string& name) {
  return JoinPath(JoinPath(INGOT_SOURCE_DIR, "configs"), name + ".textproto");
}

std::string ErrorOf(const std::string& text, const std::vector<std::string>& settings = {}) {
  const TemporaryDirectory directory;
  const std::string path = directory / "c.textproto";
  EXPECT_TRUE(WriteFileAtomically(path, text).ok());
  const auto config = LoadConfig(path, settings, /*needs_data=*/false);
  return std::string(config.status().message());
}

TEST(Config, DefaultsAreValid) { EXPECT_THAT(ConfigProblems(RunConfig()), IsEmpty()); }

struct PresetSize {
  const char* name;
  int64_t vocabulary;  // where the preset leaves it to the dataset
  int64_t least, most;
};

class Presets : public ::testing::TestWithParam<PresetSize> {};

TEST_P(Presets, AreValidAndAsLargeAsTheySay) {
  auto config = LoadConfig(Preset(GetParam().name), {}, false);
  ASSERT_TRUE(config.ok()) << config.status();
  if (config->model().vocabulary() == 0) config->mutable_model()->set_vocabulary(GetParam().vocabulary);
  EXPECT_THAT(Problems(DimsOf(*config)), IsEmpty());
  const int64_t parameters = MakeParameterTable(DimsOf(*config)).parameters;
  EXPECT_GE(parameters, GetParam().least);
  EXPECT_LE(parameters, GetParam().most);
}

INSTANTIATE_TEST_SUITE_P(All, Presets,
                         ::testing::Values(PresetSize{"tiny_sample", 512, 100'000, 1'000'000},
                                           PresetSize{"shakespeare_10m", 1024, 9'000'000, 12'000'000},
                                           PresetSize{"gpt2_124m", 0, 124'000'000, 125'000'000},
                                           PresetSize{"llama_60m", 0, 57'000'000, 63'000'000},
                                           PresetSize{"qwen2_5_0_5b", 0, 494'032'768, 494'032'769},
                                           PresetSize{"qwen2_5_1_5b", 0, 1'543'714'304, 1'543'714'305},
                                           PresetSize{"qwen3_0_6b", 0, 590'000'000, 600'000'000}),
                         [](const auto& preset) { return preset.param.name; });

TEST(Config, EveryPresetIsTested) {
  const auto names = ListDirectory(JoinPath(INGOT_SOURCE_DIR, "configs"));
  ASSERT_TRUE(names.ok());
  EXPECT_EQ(std::count_if(names->begin(), names->end(),
                          [](const std::string& name) { return name.find(".textproto") != std::string::npos; }),
            7);
}

TEST(Config, AllMistakesAreNamedAtOnce) {
  const std::string error = ErrorOf(
      "model {\n"
      "  layer: 3\n"
      "  layers: many\n"
      "  architecture: bert\n"
      "  channels: 96\n"
      "  heads: 0\n"
      "}\n"
      "training { steps: -1 micro_batch: 3 tokens_per_step: 1000 }\n"
      "optimizer { beta1: 1 }\n",
      {"schedule.kind=cosin", "optimiser.learning_rate=1", "checkpoint.keep_last=0"});
  EXPECT_THAT(error, HasSubstr("c.textproto:2:"));
  EXPECT_THAT(error, HasSubstr("did you mean \"layers\"?"));
  EXPECT_THAT(error, HasSubstr("c.textproto:3:11"));
  EXPECT_THAT(error, HasSubstr("c.textproto:4:17: expected one of llama, gpt2, found bert"));
  EXPECT_THAT(error, HasSubstr("model.heads: expected"));
  EXPECT_THAT(error, HasSubstr("training.steps: expected 1 to 1099511627776, found -1"));
  EXPECT_THAT(error, HasSubstr("= 768, found 1000"));
  EXPECT_THAT(error, HasSubstr("optimizer.beta1: expected at least 0 and below 1, found 1"));
  EXPECT_THAT(error,
              HasSubstr("--set schedule.kind=cosin: expected one of cosine, linear, constant, wsd, found cosin"));
  EXPECT_THAT(error, HasSubstr("did you mean \"optimizer\"?"));
  EXPECT_THAT(error, HasSubstr("checkpoint.keep_last: expected 1"));
}

TEST(Config, OneMistakeIsOneLine) {
  const std::string error = ErrorOf("precision { compute: bf16 }\n");
  EXPECT_THAT(error, AllOf(HasSubstr("precision.compute: expected fp32"), HasSubstr("found bf16")));
  EXPECT_EQ(error.find('\n'), std::string::npos);
}

TEST(Config, WhatEightBitProductsCannotDoIsSaid) {
  RunConfig config;
  for (const char* setting : {"precision.compute=fp8", "model.feed_forward=40", "training.micro_batch=3",
                              "data.sequence_length=8", "training.tokens_per_step=24", "parallel.zero=3"}) {
    EXPECT_TRUE(ApplySetting(config, setting).ok()) << setting;
  }
  EXPECT_THAT(ConfigProblems(config, Device::kCuda),
              UnorderedElementsAre(HasSubstr("model.feed_forward: expected a multiple of 16"),
                                   HasSubstr("training.micro_batch * data.sequence_length: expected a multiple of 16"),
                                   HasSubstr("parallel.zero: expected at most 2")));
  EXPECT_THAT(ErrorOf("precision { fp8_head: true }"), HasSubstr("precision.fp8_head: expected precision.compute fp8"));
}

TEST(Config, NonsenseIsRefused) {
  EXPECT_NE(ErrorOf("model { layers: 2"), "");
  EXPECT_NE(ErrorOf("}}}}"), "");
  EXPECT_NE(ErrorOf(std::string("\0\xff\n\x80 model", 10)), "");
  EXPECT_THAT(ErrorOf("optimizer { learning_rate: nan }"), HasSubstr("optimizer.learning_rate"));
  EXPECT_THAT(ErrorOf("training { steps: 99999999999999999999 }"), HasSubstr("1:19"));
  EXPECT_THAT(ErrorOf("training { steps: 1 steps: 2 }"), HasSubstr("steps"));
}

TEST(Config, SettingsTakeStringsAndEnumsWithoutQuotes) {
  RunConfig config;
  for (const char* setting : {"data.path=/a b/\"c\"", "schedule.kind=wsd", "optimizer.learning_rate=3e-4",
                              "model.tied_embeddings=false", "training.steps=7"}) {
    EXPECT_TRUE(ApplySetting(config, setting).ok()) << ApplySetting(config, setting);
  }
  EXPECT_EQ(config.data().path(), "/a b/\"c\"");
  EXPECT_EQ(config.schedule().kind(), ScheduleConfig::wsd);
  EXPECT_FLOAT_EQ(config.optimizer().learning_rate(), 3e-4f);
  EXPECT_FALSE(config.model().tied_embeddings());
  EXPECT_EQ(config.training().steps(), 7);
  EXPECT_TRUE(ApplySetting(config, "data.path=\"quoted\"").ok());
  EXPECT_EQ(config.data().path(), "quoted");
}

TEST(Config, SettingsThatFitNoField) {
  RunConfig config;
  const auto message = [&](const char* setting) { return std::string(ApplySetting(config, setting).message()); };
  EXPECT_THAT(message("training.step=1"), HasSubstr("did you mean \"steps\"?"));
  EXPECT_THAT(message("training=1"), HasSubstr("group of fields"));
  EXPECT_THAT(message("training.steps.more=1"), HasSubstr("has no fields"));
  EXPECT_THAT(message("training.steps"), HasSubstr("expected path.to.field=value"));
  EXPECT_THAT(message("training.steps=1.5"), HasSubstr("expected an integer, found 1.5"));
  EXPECT_THAT(message("model.qk_norm=perhaps"), HasSubstr("expected true or false"));
  EXPECT_THAT(message("nothing.like.it=1"), HasSubstr("expected one of model, data"));
}

TEST(Config, MissingDataIsAProblemOfTraining) {
  const auto config = LoadConfig(Preset("tiny_sample"), {"data.path=/no/such/place"}, true);
  EXPECT_THAT(std::string(config.status().message()), HasSubstr("data.path: expected a directory"));
  EXPECT_FALSE(LoadConfig(Preset("tiny_sample"), {}, true).ok());
}

TEST(Config, ResolvedTextSaysEverythingAndReadsBack) {
  RunConfig config;
  ASSERT_TRUE(ApplySetting(config, "training.micro_batch=4").ok());
  const std::string text = ConfigText(config);
  for (const char* field : {"tokens_per_step: 1024", "kv_heads: 4", "head_width: 32", "kind: cosine", "beta2: 0.95",
                            "qk_norm: false", "weights_dtype: fp32", "reproducible: true"}) {
    EXPECT_THAT(text, HasSubstr(field));
  }
  std::vector<std::string> problems;
  const RunConfig back = ParseConfig(text, "resolved", problems);
  EXPECT_THAT(problems, IsEmpty());
  EXPECT_EQ(ConfigText(back), text);
  EXPECT_THAT(ResumeDifferences(back, config), IsEmpty());
}

TEST(Config, ResumeAllowsLengthsAndIntervalsOnly) {
  RunConfig stored, now;
  for (const char* setting : {"training.steps=5", "validation.every=3", "validation.tokens=7", "checkpoint.every=9",
                              "checkpoint.keep_last=5", "checkpoint.keep_every=2", "data.path=elsewhere"}) {
    ASSERT_TRUE(ApplySetting(now, setting).ok());
  }
  EXPECT_THAT(ResumeDifferences(stored, now), IsEmpty());
  ASSERT_TRUE(ApplySetting(now, "optimizer.learning_rate=0.5").ok());
  ASSERT_TRUE(ApplySetting(now, "model.layers=9").ok());
  EXPECT_THAT(ResumeDifferences(stored, now),
              ElementsAre("model.layers: expected 4, found 9", "optimizer.learning_rate: expected 0.001, found 0.5"));
}

}  // namespace
}  // namespace ingot
