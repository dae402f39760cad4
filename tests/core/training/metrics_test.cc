#include "core/training/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "absl/strings/str_split.h"
#include "core/base/crc32c.h"
#include "core/base/file.h"
#include "core/training/progress.h"
#include "core/training/tensorboard.pb.h"
#include "tests/core/training/checkpoint_fixture.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;

TrainingRecord Training(int64_t step) {
  return {.step = step,
          .tokens = 100 * step,
          .loss = 2.5,
          .learning_rate = 1e-3,
          .gradient_norm = 0.75,
          .tokens_per_second = 1234,
          .mfu = 0.5,
          .seconds = 0.1,
          .data_wait_seconds = 0.01};
}

std::vector<nlohmann::json> Lines(const TemporaryDirectory& directory) {
  std::vector<nlohmann::json> lines;
  const std::string text = *ReadFile(directory / "metrics.jsonl");
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    lines.push_back(nlohmann::json::parse(line.begin(), line.end()));
  }
  return lines;
}

std::vector<int64_t> Steps(const TemporaryDirectory& directory) {
  std::vector<int64_t> steps;
  for (const auto& line : Lines(directory)) steps.push_back(line["step"]);
  return steps;
}

TEST(Metrics, LinesHaveTheKeysThatOthersRead) {
  const TemporaryDirectory directory;
  auto log = MetricsLog::Open(directory.path(), 0);
  ASSERT_TRUE(log.ok()) << log.status();
  ASSERT_TRUE(log->Record(Training(1)).ok());
  ASSERT_TRUE(log->Record(ValidationRecord{.step = 1, .targets = 10, .loss = 2, .bits_per_byte = 1.5}).ok());
  const auto lines = Lines(directory);
  ASSERT_EQ(lines.size(), 2u);
  for (const char* key : {"step", "tokens", "loss", "lr", "grad_norm", "tokens_per_second", "mfu"}) {
    EXPECT_TRUE(lines[0].contains(key)) << key;
  }
  EXPECT_EQ(lines[0]["lr"], 1e-3);
  EXPECT_EQ(lines[1]["val_loss"], 2);
  EXPECT_EQ(lines[1]["val_bits_per_byte"], 1.5);
}

TEST(Metrics, GoingOnFromAnOlderStepDropsWhatCameAfterIt) {
  const TemporaryDirectory directory;
  {
    auto log = MetricsLog::Open(directory.path(), 0);
    for (int64_t step = 1; step <= 5; ++step) ASSERT_TRUE(log->Record(Training(step)).ok());
  }
  std::string text = *ReadFile(directory / "metrics.jsonl");
  ASSERT_TRUE(WriteFileAtomically(directory / "metrics.jsonl", text + "{\"step\": 6, \"lo").ok());  // killed here
  auto log = MetricsLog::Open(directory.path(), 3);
  ASSERT_TRUE(log->Record(Training(4)).ok());
  EXPECT_THAT(Steps(directory), ElementsAre(1, 2, 3, 4));
}

std::string EventFile(const TemporaryDirectory& directory) {
  const std::vector<std::string> names = *ListDirectory(directory.path());
  for (const std::string& name : names) {
    if (name.find("tfevents") != std::string::npos) return *ReadFile(directory / name);
  }
  return "";
}

// Reads records by the description of the format, with checksums.
std::vector<tensorboard::Event> Events(const std::string& bytes) {
  const auto masked = [](const char* data, size_t size) {
    const uint32_t crc = Crc32c(data, size);
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
  };
  std::vector<tensorboard::Event> events;
  for (size_t at = 0; at < bytes.size();) {
    uint64_t length = 0;
    uint32_t crc = 0;
    std::memcpy(&length, &bytes[at], 8);
    std::memcpy(&crc, &bytes[at + 8], 4);
    EXPECT_EQ(crc, masked(&bytes[at], 8));
    std::memcpy(&crc, &bytes[at + 12 + length], 4);
    EXPECT_EQ(crc, masked(&bytes[at + 12], length));
    EXPECT_TRUE(events.emplace_back().ParseFromArray(&bytes[at + 12], static_cast<int>(length)));
    at += 16 + length;
  }
  return events;
}

TEST(TensorBoard, RecordsReadBack) {
  const TemporaryDirectory directory;
  auto writer = EventWriter::Create(directory.path(), 7);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE(writer->Write(7, {{"train/loss", 1.25}, {"train/lr", 0.5}}).ok());
  const auto events = Events(EventFile(directory));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[1].session_log().status(), tensorboard::SessionLog::START);
  EXPECT_EQ(events[1].step(), 7);
  EXPECT_EQ(events[2].step(), 7);
  EXPECT_EQ(events[2].summary().value(0).tag(), "train/loss");
  EXPECT_EQ(events[2].summary().value(0).simple_value(), 1.25f);
}

TEST(Progress, Durations) {
  EXPECT_EQ(DurationText(45.2), "45 s");
  EXPECT_EQ(DurationText(12 * 60 + 10), "12 min");
  EXPECT_EQ(DurationText(3 * 3600 + 20 * 60), "3 h 20 min");
}

}  // namespace
}  // namespace ingot
