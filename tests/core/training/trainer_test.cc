#include "core/training/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/core/training/run_metrics.h"
#include "tests/core/training/tiny_run.h"

namespace ingot {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class TrainerTest : public TinyRun {
 protected:
  std::vector<nlohmann::json> Metrics(const std::string& run, const char* key) {
    return MetricsWith(directory_ / (run + "/metrics.jsonl"), key);
  }
  std::vector<std::string> Checkpoints(const std::string& run) {
    return *ListDirectory(directory_ / (run + "/checkpoints"));
  }
};

TEST_F(TrainerTest, LossFallsAndEverythingIsWritten) {
  const absl::Status status = Train("run", {"training.steps=60", "validation.every=30", "checkpoint.every=25"});
  ASSERT_TRUE(status.ok()) << status;
  const auto losses = Metrics("run", "loss"), validations = Metrics("run", "val_loss");
  ASSERT_EQ(losses.size(), 60u);
  EXPECT_GT(losses.front()["loss"].get<double>(), 5.0);
  EXPECT_LT(losses.back()["loss"].get<double>(), 0.5 * losses.front()["loss"].get<double>());
  EXPECT_EQ(losses.back()["tokens"], 60 * 128);
  ASSERT_EQ(validations.size(), 2u);
  EXPECT_LT(validations[1]["val_bits_per_byte"].get<double>(), validations[0]["val_bits_per_byte"].get<double>());
  EXPECT_THAT(Checkpoints("run"), ElementsAre("step-00000050", "step-00000060"));
  EXPECT_TRUE(VerifyCheckpoint(directory_ / "run/checkpoints/step-00000060").ok());
  EXPECT_TRUE(FileExists(directory_ / "run/config.textproto"));
}

TEST_F(TrainerTest, ResumedRunIsBitEqualToOneThatNeverStopped) {
  for (const std::string masks : {"false", "true"}) {
    const std::string mask = "data.mask_documents=" + masks;
    ASSERT_TRUE(Train("whole" + masks, {"training.steps=7", mask}).ok());
    const std::vector<float> whole = Weights();
    ASSERT_TRUE(Train("parts" + masks, {"training.steps=3", mask}).ok());
    EXPECT_NE(Weights(), whole);
    ASSERT_TRUE(Train("parts" + masks, {"training.steps=7", mask}).ok());
    EXPECT_EQ(Weights(), whole);
    const auto a = Metrics("whole" + masks, "loss"), b = Metrics("parts" + masks, "loss");
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i]["loss"], b[i]["loss"]);
  }
}

TEST_F(TrainerTest, ADamagedNewestCheckpointIsPassedOver) {
  ASSERT_TRUE(Train("whole", {"training.steps=6"}).ok());
  const std::vector<float> whole = Weights();
  ASSERT_TRUE(Train("run", {"training.steps=6", "checkpoint.every=3"}).ok());
  ASSERT_TRUE(WriteFileAtomically(directory_ / "run/checkpoints/step-00000006/model.safetensors", "damaged").ok());
  ASSERT_TRUE(Train("run", {"training.steps=6", "checkpoint.every=3"}).ok());
  EXPECT_EQ(Weights(), whole);
  EXPECT_EQ(Metrics("run", "loss").size(), 6u);
}

TEST_F(TrainerTest, AFinishedRunDoesNothingMore) {
  ASSERT_TRUE(Train("run", {"training.steps=3"}).ok());
  const std::vector<float> weights = Weights();
  ASSERT_TRUE(Train("run", {"training.steps=3"}).ok());
  EXPECT_EQ(Weights(), weights);
  EXPECT_EQ(Metrics("run", "loss").size(), 3u);
}

TEST_F(TrainerTest, MicroBatchesOnlyCutTheStep) {
  ASSERT_TRUE(Train("one", {"training.steps=4", "training.micro_batch=8"}).ok());
  const std::vector<float> one = Weights();
  ASSERT_TRUE(Train("four", {"training.steps=4", "training.micro_batch=2"}).ok());
  const std::vector<float> four = Weights();
  double difference = 0, size = 0;
  for (size_t i = 0; i < one.size(); ++i) {
    difference += (one[i] - four[i]) * (one[i] - four[i]);
    size += one[i] * one[i];
  }
  EXPECT_LT(std::sqrt(difference / size), 1e-3);
}

TEST_F(TrainerTest, InfiniteNumbersStopBeforeTheOptimizer) {
  ASSERT_TRUE(Train("run", {"training.steps=2"}).ok());
  // Weights of 1e30 after the next step: the one after it cannot have a finite loss.
  const absl::Status status = Train(
      "bad", {"training.steps=9", "checkpoint.every=1", "optimizer.learning_rate=1e30", "schedule.warmup_steps=0"});
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("step 2"), HasSubstr("finite"), HasSubstr("the weights were not changed")));
  EXPECT_THAT(Checkpoints("bad"), ElementsAre("step-00000001"));
  EXPECT_TRUE(VerifyCheckpoint(directory_ / "bad/checkpoints/step-00000001").ok());
  EXPECT_EQ(trainer_->state().step, 1);
}

TEST_F(TrainerTest, TheCheckpointBeforeAWsdDecayStays) {
  ASSERT_TRUE(Train("run", {"training.steps=10", "schedule.kind=wsd", "schedule.decay_steps=4", "checkpoint.every=2",
                            "checkpoint.keep_last=1"})
                  .ok());
  EXPECT_THAT(Checkpoints("run"), ElementsAre("step-00000006", "step-00000010"));
}

TEST_F(TrainerTest, AnotherRunsDirectoryIsRefused) {
  ASSERT_TRUE(Train("run", {"training.steps=2"}).ok());
  const absl::Status other = Train("run", {"training.steps=2", "optimizer.beta2=0.5"});
  EXPECT_THAT(std::string(other.message()), HasSubstr("optimizer.beta2: expected 0.95, found 0.5"));
  MakeTinyDataset(directory_, "others", 300);
  const absl::Status data = Train("run", {"training.steps=4", "data.path=" + directory_ / "others"});
  EXPECT_FALSE(data.ok());
  ASSERT_TRUE(CreateDirectories(directory_ / "letters").ok());
  ASSERT_TRUE(WriteFileAtomically(directory_ / "letters/dear.txt", "x").ok());
  const absl::Status letters = Train("letters", {"training.steps=2"});
  EXPECT_THAT(std::string(letters.message()), HasSubstr("dear.txt"));
  EXPECT_FALSE(FileExists(directory_ / "letters/config.textproto"));
}

TEST_F(TrainerTest, TwoProcessesCannotShareADirectory) {
  ASSERT_TRUE(Train("run", {"training.steps=1"}).ok());
  const auto second = Trainer::Create(Config({"training.steps=1"}), directory_ / "run");  // trainer_ still holds it
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another process"));
}

TEST_F(TrainerTest, WhatTheDatasetDoesNotAllowLeavesNothingBehind) {
  for (const char* setting : {"data.sequence_length=1000000", "model.vocabulary=64"}) {
    const absl::Status status = Train("run", {setting, "training.tokens_per_step=0"});
    EXPECT_FALSE(status.ok()) << setting;
    EXPECT_FALSE(DirectoryExists(directory_ / "run"));
  }
}

}  // namespace
}  // namespace ingot
