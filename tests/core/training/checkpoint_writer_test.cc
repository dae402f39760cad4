#include "core/training/checkpoint_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "tests/core/training/checkpoint_fixture.h"

namespace ingot {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Writing : public testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<CheckpointWriter> Writer(int64_t max_failures = 3) {
    const CheckpointWriter::Options options = {.background = GetParam(),
                                               .max_failures = max_failures,
                                               .say = [this](const std::string& line) { said_.push_back(line); }};
    return std::make_unique<CheckpointWriter>(CheckpointStore(run_.path(), 9, 0), options);
  }
  std::vector<std::string> Saved() { return *ListDirectory(run_ / "checkpoints"); }
  // No checkpoint can be written: their directory is a file.
  void Break() {
    if (DirectoryExists(run_ / "checkpoints")) Mend();
    ASSERT_TRUE(WriteFileAtomically(run_ / "checkpoints", "in the way").ok());
  }
  void Mend() { ASSERT_TRUE(RemoveRecursively(run_ / "checkpoints").ok()); }

  TemporaryDirectory run_;
  SmallModel model_{LlamaDims()};
  std::vector<std::string> said_;
};

INSTANTIATE_TEST_SUITE_P(All, Writing, testing::Bool());

TEST_P(Writing, SavesWhatItWasGiven) {
  const auto writer = Writer();
  ASSERT_TRUE(writer->Save(model_.contents(1), false).ok());
  ASSERT_TRUE(writer->Finish().ok());
  SmallModel loaded(LlamaDims(), 2);
  const auto state = LoadCheckpoint(run_ / "checkpoints/step-00000001", loaded.table, loaded.state_parts());
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(loaded.values, model_.values);
}

TEST_P(Writing, EverySaveIsDoneInTurn) {
  {
    const auto writer = Writer();
    for (int64_t step = 1; step <= 6; ++step) ASSERT_TRUE(writer->Save(model_.contents(step), step == 2).ok());
  }  // leaves when the last one is written
  EXPECT_EQ(Saved().size(), 6u);
  for (const std::string& name : Saved()) EXPECT_TRUE(VerifyCheckpoint(run_ / ("checkpoints/" + name)).ok()) << name;
  EXPECT_THAT(said_, IsEmpty());
}

TEST_P(Writing, FailuresAreSaidUntilThereAreTooMany) {
  const auto writer = Writer(/*max_failures=*/2);
  Break();
  absl::Status status;
  int64_t step = 1;
  for (; step < 9 && status.ok(); ++step) {
    status = writer->Save(model_.contents(step), false);
    if (status.ok()) status = writer->Wait();
  }
  EXPECT_EQ(step, 4) << "the third failure ends it";
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("step 3"), HasSubstr("checkpoint.max_failures")));
  EXPECT_THAT(said_, ElementsAre(HasSubstr("step 1 was not saved"), HasSubstr("failure 2 in a row of 2")));
}

TEST_P(Writing, ASuccessForgivesFailures) {
  const auto writer = Writer(/*max_failures=*/1);
  for (int64_t step = 1; step <= 6; ++step) {
    if (step % 2 == 1) Break();
    ASSERT_TRUE(writer->Save(model_.contents(step), false).ok());
    ASSERT_TRUE(writer->Wait().ok());
    if (step % 2 == 1) Mend();
  }
  EXPECT_EQ(said_.size(), 3u);
  EXPECT_THAT(Saved(), ElementsAre("step-00000006"));
}

TEST_P(Writing, TheLastSaveIsTriedOnceMore) {
  const auto writer = Writer();
  Break();
  ASSERT_TRUE(writer->Save(model_.contents(1), false).ok());
  ASSERT_TRUE(writer->Wait().ok());
  Mend();
  ASSERT_TRUE(writer->Finish().ok());
  EXPECT_THAT(Saved(), ElementsAre("step-00000001"));
  Mend();
  Break();
  ASSERT_TRUE(writer->Save(model_.contents(2), false).ok());
  EXPECT_FALSE(writer->Finish().ok());
}

TEST_P(Writing, PoisonedWeightsAreAnErrorAtOnce) {
  const auto writer = Writer();
  model_.values[1][5] = std::numeric_limits<float>::infinity();
  absl::Status status = writer->Save(model_.contents(1), false);
  if (status.ok()) status = writer->Wait();
  EXPECT_THAT(std::string(status.message()), HasSubstr("expected finite values, found inf"));
}

}  // namespace
}  // namespace ingot
