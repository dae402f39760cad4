#pragma once
// A tiny tokenizer, dataset and configuration for tests of training: a second of work.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/training/config.h"
#include "core/training/trainer.h"
#include "data_pipeline/builder.h"
#include "tests/core/training/checkpoint_fixture.h"
#include "tokenizer/hf_files.h"
#include "tokenizer/trainer.h"

namespace ingot {

// Sentences that a model learns quickly.
inline std::string TinyText(int64_t sentences) {
  static constexpr const char* kWho[] = {"the cat", "the dog", "a small bird", "my old friend"};
  static constexpr const char* kDoes[] = {"sees", "likes", "follows"};
  std::string text;
  for (int64_t i = 0; i < sentences; ++i) {
    const auto pick = [i](uint64_t stream, uint64_t n) { return Philox{7}.Below(n, stream, i); };
    absl::StrAppend(&text, kWho[pick(0, 4)], " ", kDoes[pick(1, 3)], " ", kWho[pick(2, 4)], ".\n\n");
  }
  return text;
}

inline void MakeTinyDataset(const TemporaryDirectory& directory, const std::string& name, int64_t sentences) {
  const std::string text = TinyText(sentences), tokenizer = directory / (name + "-tokenizer");
  int64_t given = 0;
  const TextSource source = [&](std::string& document) -> absl::StatusOr<bool> {
    document = text;
    return given++ == 0;
  };
  TrainerOptions training;
  training.vocabulary_size = 340;
  const auto model = TrainTokenizer(source, training);
  ASSERT_TRUE(model.ok()) << model.status();
  ASSERT_TRUE(CreateDirectories(tokenizer).ok());
  ASSERT_TRUE(WriteTokenizerFiles(*model, 16, tokenizer).ok());
  ASSERT_TRUE(WriteFileAtomically(directory / (name + ".txt"), text).ok());
  const auto encoder = LoadTextEncoder(tokenizer);
  ASSERT_TRUE(encoder.ok()) << encoder.status();
  BuildOptions options;
  options.inputs = {directory / (name + ".txt")};
  options.documents.blank_line_documents = true;
  options.output = directory / name;
  options.validation_fraction = 0.1;
  ASSERT_TRUE(BuildDataset(options, *encoder).ok());
}

// Directory with the dataset "data", and runs beside it.
class TinyRun : public ::testing::Test {
 protected:
  void SetUp() override { MakeTinyDataset(directory_, "data", 400); }

  RunConfig Config(const std::vector<std::string>& settings) {
    RunConfig config;
    std::vector<std::string> all = {"model.layers=2",
                                    "model.channels=32",
                                    "model.heads=2",
                                    "model.feed_forward=64",
                                    "data.sequence_length=16",
                                    "training.micro_batch=4",
                                    "training.tokens_per_step=128",
                                    "optimizer.learning_rate=0.01",
                                    "schedule.kind=constant",
                                    "schedule.warmup_steps=2",
                                    "validation.tokens=512",
                                    "data.path=" + directory_ / "data"};
    all.insert(all.end(), settings.begin(), settings.end());
    for (const std::string& setting : all) EXPECT_TRUE(ApplySetting(config, setting).ok()) << setting;
    return config;
  }

  // Trains in directory_/NAME; `trainer` is left for looking at.
  absl::Status Train(const std::string& name, const std::vector<std::string>& settings, Device device = Device::kCpu) {
    trainer_ = nullptr;  // it holds its run's directory
    auto created = Trainer::Create(Config(settings), directory_ / name, device);
    if (!created.ok()) return created.status();
    trainer_ = *std::move(created);
    return trainer_->Run();
  }

  std::vector<float> Weights() const {
    const Model& model = trainer_->model();
    std::vector<float> weights(Count(model.parameters()));
    EXPECT_TRUE(model.backend()->CopyOut(weights.data(), model.parameters()).ok());
    return weights;
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace ingot
