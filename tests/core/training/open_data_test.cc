// A run over several datasets: weights, stages, packing and fill-in-the-middle from the configuration to the weights.
#include "core/training/open_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "tests/core/training/tiny_run.h"

namespace ingot {
namespace {

using ::testing::HasSubstr;

class OpenDataTest : public TinyRun {
 protected:
  // A second dataset beside "data", of other documents and the same tokenizer.
  void SetUp() override {
    TinyRun::SetUp();
    const auto encoder = LoadTextEncoder(directory_ / "data-tokenizer");
    ASSERT_TRUE(encoder.ok()) << encoder.status();
    ASSERT_TRUE(WriteFileAtomically(directory_ / "more.txt", TinyText(700).substr(9000)).ok());
    BuildOptions options;
    options.inputs = {directory_ / "more.txt"};
    options.documents.blank_line_documents = true;
    options.output = directory_ / "more";
    ASSERT_TRUE(BuildDataset(options, *encoder).ok());
  }
  std::vector<std::string> Mixed(std::vector<std::string> settings) const {
    settings.insert(settings.begin(), {"data.path=", "training.micro_batch=32", "training.tokens_per_step=8192",
                                       "data.mask_documents=true", "data.packing=best_fit", "data.fim_rate=0.5",
                                       "data.source={path:\"" + directory_ / "data\" weight: 0.75}",
                                       "data.source={path:\"" + directory_ / "more\" weight: 0.25}",
                                       "data.stage={from_tokens: 32768 weight: [0.1, 0.9]}"});
    return settings;
  }
};

TEST_F(OpenDataTest, AMixedRunResumesBitForBitAndIsAnotherOneThanThePlain) {
  ASSERT_TRUE(Train("whole", Mixed({"training.steps=12"})).ok());
  const std::vector<float> whole = Weights();
  ASSERT_TRUE(Train("parts", Mixed({"training.steps=5"})).ok());
  ASSERT_TRUE(Train("parts", Mixed({"training.steps=9"})).ok());
  const absl::Status status = Train("parts", Mixed({"training.steps=12"}));
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(Weights(), whole);
  ASSERT_TRUE(Train("plain", {"training.steps=12", "training.micro_batch=32", "training.tokens_per_step=8192"}).ok());
  EXPECT_NE(Weights(), whole);
}

TEST_F(OpenDataTest, OtherWeightsCannotResume) {
  ASSERT_TRUE(Train("run", Mixed({"training.steps=3"})).ok());
  std::vector<std::string> settings = Mixed({"training.steps=5"});
  settings.back() = "training.steps=5";
  settings.push_back("data.stage={from_tokens: 50000 weight: [1, 1]}");
  EXPECT_THAT(std::string(Train("run", settings).message()), HasSubstr("data.stage: expected [from_tokens: 32768"));
}

TEST_F(OpenDataTest, OtherDataCannotResume) {
  const std::string data = "data.source={path:\"" + directory_ / "data\"}",
                    more = "data.source={path:\"" + directory_ / "more\"}";
  ASSERT_TRUE(Train("run", {"training.steps=3", "data.path=", data, more}).ok());
  EXPECT_THAT(std::string(Train("run", {"training.steps=5", "data.path=", more, data}).message()),
              HasSubstr("expected the dataset it was trained on"));
}

TEST_F(OpenDataTest, SharesAndEpochsAreTold) {
  const RunConfig config = Config(Mixed({"training.steps=4"}));
  const auto data = OpenData(config);
  ASSERT_TRUE(data.ok()) << data.status();
  const std::string text = MixtureText(*data, config);
  EXPECT_THAT(text, HasSubstr("data: 75.0 % of the sequences, "));
  EXPECT_THAT(text, HasSubstr("more: 25.0 % of the sequences, "));
  EXPECT_EQ(data->validation->windows(),
            Loader::Create(data->sources[0], {.split = Split::kValidation, .B = 1, .T = 16}).value()->windows() +
                Loader::Create(data->sources[1], {.split = Split::kValidation, .B = 1, .T = 16}).value()->windows());
}

TEST_F(OpenDataTest, TooManyEpochsAreRefusedBeforeTheRun) {
  std::vector<std::string> settings = {"training.steps=100000",
                                       "data.path=", "data.source={path:\"" + directory_ / "data\" max_epochs: 4}"};
  EXPECT_THAT(std::string(OpenData(Config(settings)).status().message()),
              HasSubstr("data.source[0].max_epochs: expected at most 4, found"));
}

TEST_F(OpenDataTest, MistakesOfSourcesAreNamed) {
  const auto problems = [&](const std::vector<std::string>& settings) {
    return absl::StrCat(ProblemsStatus(ConfigProblems(Config(settings))).message());
  };
  EXPECT_THAT(problems({"data.source={path:\"x\"}"}), HasSubstr("found both"));
  EXPECT_THAT(problems({"data.path=", "data.source={}"}), HasSubstr("data.source[0].path: expected a directory"));
  EXPECT_THAT(problems({"data.path=", "data.source={path:\"x\" weight:-1}"}), HasSubstr("data.source[0].weight"));
  EXPECT_THAT(problems({"data.stage={from_tokens:5 weight:[1]}"}), HasSubstr("data.stage: expected data.source"));
  EXPECT_THAT(problems({"data.path=", "data.source={path:\"x\"}", "data.stage={from_tokens:5 weight:[1,2]}"}),
              HasSubstr("data.stage[0].weight: expected 1 weights, one a source, found 2"));
  EXPECT_THAT(problems({"data.fim_rate=1.5"}), HasSubstr("data.fim_rate"));
}

class RawDocumentsTest : public TinyRun {
 protected:
  // What MakeTinyDataset() has built.
  std::string Raw(const std::string& more = "") const {
    return absl::StrCat("{input:\"", directory_ / "data.txt", "\" tokenizer:\"", directory_ / "data-tokenizer",
                        "\" blank_line_documents:true validation_fraction:0.1 ", more, "}");
  }
  std::vector<std::string> RawSettings(std::vector<std::string> more, const std::string& fields = "") const {
    more.insert(more.begin(), {"data.path=", "data.raw=" + Raw(fields), "data.shuffle_tokens=1024"});
    return more;
  }
};

TEST_F(RawDocumentsTest, ARunFromTextIsTheRunFromItsDataset) {
  ASSERT_TRUE(Train("built", {"training.steps=60", "data.shuffle_tokens=1024"}).ok());
  const std::vector<float> built = Weights();
  ASSERT_GT(60 * 128, OpenData(Config({}))->tokens(Split::kTraining)) << "more than one epoch";
  for (const char* steps : {"training.steps=7", "training.steps=40", "training.steps=60"}) {
    const absl::Status status = Train("raw", RawSettings({steps}));
    ASSERT_TRUE(status.ok()) << status;
  }
  EXPECT_EQ(Weights(), built);
}

TEST_F(RawDocumentsTest, OtherDocumentsCannotResume) {
  ASSERT_TRUE(Train("run", RawSettings({"training.steps=40"})).ok());
  ASSERT_TRUE(RemoveRecursively(directory_ / "run/tokenized").ok());
  ASSERT_TRUE(WriteFileAtomically(directory_ / "data.txt", TinyText(450).substr(40)).ok());
  EXPECT_THAT(std::string(Train("run", RawSettings({"training.steps=50"})).message()),
              HasSubstr("that the checkpoint was trained on, found others"));
}

TEST_F(RawDocumentsTest, MayLieElsewhereWhenResuming) {
  const RunConfig was = Config(RawSettings({}));
  const auto now = [&](const std::string& raw) {
    return absl::StrJoin(ResumeDifferences(was, Config({"data.path=", "data.shuffle_tokens=1024", "data.raw=" + raw})),
                         "\n");
  };
  EXPECT_EQ(now("{input:\"a\" input:\"b\" tokenizer:\"t\" cache:\"c\" threads:3 blank_line_documents:true "
                "validation_fraction:0.1}"),
            "");
  EXPECT_THAT(now(Raw("skip_bad_lines:true")), HasSubstr("data.raw.skip_bad_lines: expected false, found true"));
  EXPECT_NE(absl::StrJoin(ResumeDifferences(was, Config({"data.shuffle_tokens=1024"})), "\n"), "");
  const auto source = [&](const std::string& raw) {
    return Config({"data.path=", "data.shuffle_tokens=1024", "data.source={raw " + raw + "}"});
  };
  EXPECT_TRUE(ResumeDifferences(source(Raw()), source("{input:\"a\" tokenizer:\"t\" blank_line_documents:true "
                                                      "validation_fraction:0.1}"))
                  .empty());
  EXPECT_FALSE(ResumeDifferences(source(Raw()), source(Raw("min_bytes:3"))).empty());
}

TEST_F(RawDocumentsTest, MistakesAreNamed) {
  const auto problems = [&](const std::vector<std::string>& settings) {
    return absl::StrCat(ProblemsStatus(ConfigProblems(Config(settings))).message());
  };
  EXPECT_THAT(problems({"data.raw=" + Raw()}), HasSubstr("data.raw: expected nothing beside data.path"));
  EXPECT_THAT(problems({"data.path=", "data.raw={}"}), HasSubstr("data.raw.input: expected files"));
  EXPECT_THAT(problems({"data.path=", "data.raw={}"}), HasSubstr("data.raw.tokenizer: expected a directory"));
  EXPECT_THAT(problems(RawSettings({"validation.tokens=0"})), HasSubstr("validation.tokens: expected above 0"));
  EXPECT_THAT(problems({"data.path=", "data.raw=" + Raw(), "data.shuffle_tokens=0"}),
              HasSubstr("data.shuffle_tokens: expected above 0"));
  EXPECT_THAT(problems(RawSettings({}, "threads:0")), HasSubstr("data.raw.threads: expected 1 to 1024, found 0"));
  const std::string source = "data.source={max_epochs:2 raw " + Raw() + "}";
  EXPECT_THAT(problems({"data.path=", "data.shuffle_tokens=5", source}), HasSubstr("data.source[0].max_epochs"));
  EXPECT_THAT(problems({"data.path=", "data.shuffle_tokens=5", "data.source={path:\"x\" raw " + Raw() + "}"}),
              HasSubstr("data.source[0].path: expected nothing beside raw"));
  EXPECT_EQ(problems(RawSettings({})), "");
  RunConfig config = Config({"data.path=", "data.raw=" + Raw()});
  SetDefaultOrder(config);
  EXPECT_EQ(config.data().shuffle_tokens(), 1 << 24);
}

}  // namespace
}  // namespace ingot
