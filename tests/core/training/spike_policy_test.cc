#include "core/training/spike_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/base/philox.h"
#include "core/training/guard.h"
#include "core/training/state_file.h"
#include "distributed/exit_codes.h"
#include "tests/core/training/checkpoint_fixture.h"

namespace ingot {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

SpikeConfig With(SpikeConfig::Policy policy) {
  SpikeConfig config;
  config.set_policy(policy);
  return config;
}

// A quiet run: losses around 3 and norms around 1, each with 2 % of noise.
double Loss(int64_t step) { return 3 + 0.06 * Philox{1}.Normal(0, step); }
double Norm(int64_t step) { return std::exp(0.02 * Philox{1}.Normal(1, step)); }

SpikeMemory After(int64_t steps, const SpikeConfig& config) {
  SpikeMemory memory;
  for (int64_t step = 0; step < steps; ++step) {
    EXPECT_EQ(JudgeStep(config, step, Loss(step), Norm(step), memory).action, SpikeAction::kTrain) << step;
  }
  return memory;
}

TEST(MedianOf, IsTheMiddle) {
  EXPECT_EQ(MedianOf({}), 0);
  EXPECT_EQ(MedianOf({5}), 5);
  EXPECT_EQ(MedianOf({9, 1, 4}), 4);
  EXPECT_EQ(MedianOf({9, 1, 4, 2}), 3);
}

TEST(JudgeStep, AQuietRunHasNoSpikes) { EXPECT_EQ(After(5000, With(SpikeConfig::stop)).losses.size(), 128u); }

TEST(JudgeStep, OneHighLossIsSuspectTwoAreASpike) {
  SpikeMemory memory = After(200, With(SpikeConfig::skip));
  EXPECT_EQ(JudgeStep(With(SpikeConfig::skip), 200, 30, 1, memory).action, SpikeAction::kTrain);
  const SpikeVerdict second = JudgeStep(With(SpikeConfig::skip), 201, 30, 1, memory);
  EXPECT_EQ(second.action, SpikeAction::kSkip);
  EXPECT_THAT(second.reason, AllOf(HasSubstr("by the last 128 steps, found 30.0000"), HasSubstr("second time")));
  EXPECT_EQ(JudgeStep(With(SpikeConfig::skip), 202, 30, 1, memory).action, SpikeAction::kSkip);
  EXPECT_EQ(JudgeStep(With(SpikeConfig::skip), 203, 3, 1, memory).action, SpikeAction::kTrain);
  EXPECT_EQ(JudgeStep(With(SpikeConfig::skip), 204, 30, 1, memory).action, SpikeAction::kTrain);
  EXPECT_THAT(memory.skips, ElementsAre(201, 202));
}

TEST(JudgeStep, ALongGradientIsASpikeAtOnce) {
  SpikeMemory memory = After(100, With(SpikeConfig::stop));
  EXPECT_EQ(JudgeStep(With(SpikeConfig::stop), 100, 3, 9, memory).action, SpikeAction::kTrain);
  const SpikeVerdict verdict = JudgeStep(With(SpikeConfig::stop), 101, 3, 11, memory);
  EXPECT_EQ(verdict.action, SpikeAction::kStop);
  EXPECT_THAT(verdict.reason, HasSubstr("at most 10 times the median"));
}

// Half of a window of NaN would make every comparison false for ever.
TEST(JudgeStep, NumbersThatAreNotFiniteNeverEnterTheWindow) {
  const SpikeConfig config = With(SpikeConfig::skip);
  SpikeMemory memory = After(200, config);
  SpikeConfig patient = config;
  patient.set_max_skips(1000);
  for (int64_t step = 200; step < 328; ++step) {
    const double loss = step % 3 == 0 ? kNan : INFINITY, norm = step % 3 == 1 ? 1 : kNan;
    EXPECT_EQ(JudgeStep(patient, step, loss, norm, memory).action, SpikeAction::kSkip);
  }
  EXPECT_EQ(memory.losses, After(200, config).losses);
  EXPECT_EQ(memory.log_norms, After(200, config).log_norms);
  EXPECT_EQ(JudgeStep(patient, 328, 3, 1, memory).action, SpikeAction::kTrain);
  EXPECT_EQ(JudgeStep(patient, 329, 3, 100, memory).action, SpikeAction::kSkip) << "it still sees spikes";
}

TEST(JudgeStep, NotFiniteStopsWhateverThePolicyAndTheWarmup) {
  SpikeMemory memory;
  for (const auto policy : {SpikeConfig::off, SpikeConfig::stop}) {
    EXPECT_EQ(JudgeStep(With(policy), 0, kNan, 1, memory).action, SpikeAction::kStop);
    const SpikeVerdict verdict = JudgeStep(With(policy), 0, 3, INFINITY, memory);
    EXPECT_EQ(verdict.action, SpikeAction::kStop);
    EXPECT_THAT(verdict.reason, HasSubstr("gradient norm, found inf"));
  }
}

TEST(JudgeStep, WarmsUp) {
  SpikeMemory memory = After(62, With(SpikeConfig::stop));
  EXPECT_EQ(JudgeStep(With(SpikeConfig::stop), 62, 3, 1000, memory).action, SpikeAction::kTrain);
  EXPECT_EQ(JudgeStep(With(SpikeConfig::stop), 63, 3, 1000, memory).action, SpikeAction::kTrain);
  EXPECT_EQ(JudgeStep(With(SpikeConfig::stop), 64, 3, 1000, memory).action, SpikeAction::kStop);
}

TEST(JudgeStep, OffTrainsOn) {
  SpikeMemory memory = After(200, With(SpikeConfig::off));
  for (int64_t step = 200; step < 210; ++step) {
    EXPECT_EQ(JudgeStep(With(SpikeConfig::off), step, 30, 1000, memory).action, SpikeAction::kTrain);
  }
}

TEST(JudgeStep, StopsAfterTooManyInAThousandSteps) {
  for (const auto policy : {SpikeConfig::skip, SpikeConfig::rollback}) {
    const SpikeAction milder = policy == SpikeConfig::skip ? SpikeAction::kSkip : SpikeAction::kRollBack;
    SpikeConfig config = With(policy);
    config.set_max_skips(3);
    SpikeMemory memory;
    for (int64_t step : {0, 1, 999}) EXPECT_EQ(JudgeStep(config, step, kNan, 1, memory).action, milder);
    EXPECT_EQ(JudgeStep(config, 1000, kNan, 1, memory).action, milder) << "the first is 1,000 steps ago";
    const SpikeVerdict last = JudgeStep(config, 1000, kNan, 1, memory);
    EXPECT_EQ(last.action, SpikeAction::kStop);
    EXPECT_THAT(last.reason, HasSubstr("after 3 "));
  }
}

TEST(StateFile, BringsTheWindowBackBitForBit) {
  const TemporaryDirectory directory;
  TrainingState state;
  state.step = 300;
  state.updates = 297;
  state.spikes = After(300, With(SpikeConfig::skip));
  state.spikes.losses.back() = 0.1 + 0.2;
  state.spikes.suspects = 1;
  state.spikes.skips = {4, 5};
  state.spikes.rollbacks = {7};
  ASSERT_TRUE(WriteFileAtomically(directory / "state.json", StateText(state)).ok());
  const auto read = ReadStateFile(directory / "state.json");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->updates, 297);
  EXPECT_EQ(read->spikes.losses, state.spikes.losses);
  EXPECT_EQ(read->spikes.log_norms, state.spikes.log_norms);
  EXPECT_EQ(read->spikes.suspects, 1);
  EXPECT_THAT(read->spikes.skips, ElementsAre(4, 5));
  EXPECT_THAT(read->spikes.rollbacks, ElementsAre(7));
}

TEST(StateFile, ReadsWhatAnOlderVersionWroteAndRefusesOtherThings) {
  const TemporaryDirectory directory;
  const std::string old =
      R"("step":5,"next_sequence":9,"tokens":8,"dataset_fingerprint":"0a","ranks":1,"config":"","environment":"")";
  const auto read = [&](const std::string& more) {
    EXPECT_TRUE(WriteFileAtomically(directory / "s", absl::StrCat("{", old, more, "}")).ok());
    return ReadStateFile(directory / "s");
  };
  ASSERT_TRUE(read("").ok());
  EXPECT_EQ(read("")->updates, 5);
  EXPECT_THAT(read("")->spikes.losses, IsEmpty());
  const auto error = [&](const std::string& more) { return std::string(read(more).status().message()); };
  EXPECT_THAT(error(R"(,"updates":-1)"), HasSubstr("updates: expected an integer"));
  EXPECT_THAT(error(R"(,"spikes":3)"), HasSubstr("spikes.losses: expected at most 128 numbers"));
  EXPECT_THAT(error(R"(,"spikes":{"losses":["a"]})"), HasSubstr("spikes.losses: expected at most 128 numbers"));
  EXPECT_THAT(error(R"(,"spikes":{"losses":[],"log_norms":[],"suspects":0,"skips":[1.5]})"),
              HasSubstr("spikes.skips: expected at most 2000 integers"));
}

TEST(StoppedBySpike, NamesTheStepAndHasItsExitCode) {
  const absl::Status status = StoppedBySpike(17, "micro-batch 2 of 4", "expected a finite loss, found nan");
  EXPECT_THAT(std::string(status.message()), HasSubstr("step 17, micro-batch 2 of 4: expected a finite loss"));
  EXPECT_EQ(ExitCodeOf(status), 79);
}

}  // namespace
}  // namespace ingot
