// The spike policy inside a run: spikes are made through the trainer's probe.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "distributed/exit_codes.h"
#include "tests/core/training/run_metrics.h"
#include "tests/core/training/tiny_run.h"

namespace ingot {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TrainerSpikes : public TinyRun {
 protected:
  static constexpr int64_t kSpike = 83;  // steps kSpike to kSpike + 2, the first time they are trained

  // Losses ten times as large for three steps of a run whose loss falls slowly.
  absl::Status TrainWithSpike(const std::string& run, std::vector<std::string> settings) {
    settings.insert(settings.begin(), {"checkpoint.every=20", "optimizer.learning_rate=0.0003"});
    trainer_ = nullptr;
    auto created = Trainer::Create(Config(settings), directory_ / run);
    if (!created.ok()) return created.status();
    trainer_ = *std::move(created);
    trainer_->set_probe([this](int64_t, Model&, double& loss) {
      const int64_t position = trainer_->state().next_sequence / 8 + 1;  // 8 sequences a step
      if (position >= kSpike && position < kSpike + 3) loss *= 10;
    });
    return trainer_->Run();
  }
  std::vector<nlohmann::json> Metrics(const std::string& run, const char* key) {
    return MetricsWith(directory_ / (run + "/metrics.jsonl"), key);
  }
  // A run of 100 steps that is stopped at each of `stops` has the same end as one that was not.
  void ExpectResumeIsExact(const std::string& policy, const std::vector<int64_t>& stops) {
    const std::string setting = "spikes.policy=" + policy;
    ASSERT_TRUE(TrainWithSpike("whole", {setting, "training.steps=100"}).ok());
    const std::vector<float> whole = Weights();
    const TrainingState state = trainer_->state();
    for (const int64_t stop : stops) {
      const absl::Status status = TrainWithSpike("parts", {setting, absl::StrCat("training.steps=", stop)});
      ASSERT_TRUE(status.ok()) << status;
    }
    ASSERT_TRUE(TrainWithSpike("parts", {setting, "training.steps=100"}).ok());
    EXPECT_EQ(Weights(), whole);
    EXPECT_EQ(trainer_->state().next_sequence, state.next_sequence);
    EXPECT_EQ(trainer_->state().spikes.losses, state.spikes.losses);
    EXPECT_EQ(trainer_->state().spikes.log_norms, state.spikes.log_norms);
  }
};

TEST_F(TrainerSpikes, OffTrainsOnAsEver) {
  ASSERT_TRUE(TrainWithSpike("run", {"training.steps=90"}).ok());
  EXPECT_EQ(Metrics("run", "loss").size(), 90u);
  EXPECT_EQ(trainer_->state().updates, 90);
}

TEST_F(TrainerSpikes, SkipDropsTheUpdates) {
  ASSERT_TRUE(TrainWithSpike("run", {"training.steps=90", "spikes.policy=skip"}).ok());
  EXPECT_EQ(trainer_->state().step, 90);
  EXPECT_EQ(trainer_->state().updates, 88);
  EXPECT_EQ(trainer_->state().tokens, 88 * 128);
  EXPECT_EQ(trainer_->state().next_sequence, 90 * 8);
  const auto events = Metrics("run", "event");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0]["step"], kSpike + 1);
  EXPECT_EQ(events[0]["event"], "skip");
  EXPECT_EQ(Metrics("run", "loss").size(), 88u);
}

TEST_F(TrainerSpikes, RollbackGoesBackAndPassesOverTheData) {
  ASSERT_TRUE(TrainWithSpike("run", {"training.steps=90", "spikes.policy=rollback", "spikes.margin_steps=1"}).ok());
  EXPECT_EQ(trainer_->state().step, 90);
  // Back from 84 to 80; the data of steps 81 to 85 is passed over, 85 being the margin.
  EXPECT_EQ(trainer_->state().next_sequence, (90 + 5) * 8);
  EXPECT_THAT(trainer_->state().spikes.rollbacks, ElementsAre(kSpike));
  const auto events = Metrics("run", "event");
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0]["step"], 80);
  EXPECT_THAT(events[0]["reason"].get<std::string>(), HasSubstr("step 84: rolled back to step 80"));
  EXPECT_EQ(Metrics("run", "loss").size(), 90u) << "each step is in metrics.jsonl once";
}

TEST_F(TrainerSpikes, StopLeavesBeforeTheUpdate) {
  const absl::Status status = TrainWithSpike("run", {"training.steps=90", "spikes.policy=stop"});
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("step 84: expected a loss of at most"), HasSubstr("the weights were not changed")));
  EXPECT_EQ(ExitCodeOf(status), 79);
  EXPECT_EQ(trainer_->state().step, 83);
}

TEST_F(TrainerSpikes, ResumeIsExactWithSkips) { ExpectResumeIsExact("skip", {10, 83, 84, 85, 99}); }

// Stopped between the spike's checkpoint and the spike: the off-schedule checkpoint is not gone back to.
TEST_F(TrainerSpikes, ResumeIsExactWithRollbacks) { ExpectResumeIsExact("rollback", {30, 81, 82, 83, 84, 85, 86}); }

TEST_F(TrainerSpikes, OneNanGradientIsSkipped) {
  trainer_ = nullptr;
  auto created = Trainer::Create(Config({"training.steps=6", "spikes.policy=skip"}), directory_ / "run");
  ASSERT_TRUE(created.ok()) << created.status();
  trainer_ = *std::move(created);
  trainer_->set_probe([](int64_t step, Model& model, double&) {
    if (step == 3) model.gradients().data<float>()[7] = std::nanf("");
  });
  ASSERT_TRUE(trainer_->Run().ok());
  EXPECT_EQ(trainer_->state().updates, 5);
  const std::vector<float> weights = Weights();
  EXPECT_TRUE(std::all_of(weights.begin(), weights.end(), [](float weight) { return std::isfinite(weight); }));
  EXPECT_THAT(Metrics("run", "event")[0]["reason"].get<std::string>(), HasSubstr("gradient norm, found nan"));
}

// Weights that are beyond repair: neither policy goes on for ever.
TEST_F(TrainerSpikes, LimitsEndARunThatCannotRecover) {
  const std::vector<std::string> ruin = {"training.steps=90", "optimizer.learning_rate=1e30", "schedule.warmup_steps=0",
                                         "spikes.max_skips=5"};
  for (const std::string policy : {"skip", "rollback"}) {
    std::vector<std::string> settings = ruin;
    settings.push_back("spikes.policy=" + policy);
    const absl::Status status = TrainWithSpike(policy, settings);
    EXPECT_EQ(ExitCodeOf(status), 79) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("spikes.max_"));
  }
}

}  // namespace
}  // namespace ingot
