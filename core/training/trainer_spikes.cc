// What follows from the spike policy's verdict on a step.
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/training/guard.h"
#include "core/training/rank_fields.h"
#include "core/training/trainer.h"
#include "core/training/trainer_log.h"

namespace ingot {

// Makes the update of a step that began at `start`, or does what the policy says instead.
absl::Status Trainer::Settle(const StepResult& result, std::chrono::steady_clock::time_point start) {
  const int64_t position = state_.next_sequence / SequencesPerStep();
  const SpikeVerdict verdict = JudgeStep(config_.spikes(), position, result.loss, result.gradient_norm, state_.spikes);
  switch (verdict.action) {
    case SpikeAction::kSkip:
      return Skip(verdict.reason);
    case SpikeAction::kRollBack:
      return RollBack(verdict.reason);
    case SpikeAction::kStop:
      return StoppedBySpike(state_.step + 1, result.where, verdict.reason);
    case SpikeAction::kTrain:
      break;
  }
  INGOT_RETURN_IF_ERROR(ApplyUpdate(result));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  Record(result, seconds.count());
  return absl::OkStatus();
}

// The step counts for schedule and data, not for the optimizer.
absl::Status Trainer::Skip(const std::string& reason) {
  ++state_.step;
  state_.next_sequence += SequencesPerStep();
  progress_.Say(absl::StrCat("step ", state_.step, ": update dropped: ", reason));
  Log(EventRecord{.step = state_.step, .event = "skip", .reason = reason});
  return absl::OkStatus();
}

// Only a checkpoint of checkpoint.every is gone back to: where else one was saved depends on when somebody stopped the
// run. A run that is killed before the next checkpoint comes to the same spike and the same decision again.
absl::Status Trainer::RollBack(const std::string& reason) {
  const int64_t spike_step = state_.step + 1;
  const int64_t behind = state_.next_sequence + (1 + config_.spikes().margin_steps()) * SequencesPerStep();
  const SpikeMemory memory = state_.spikes;
  Enter(Phase::kSave);
  // Perhaps the one that is being written is the one to go back to.
  INGOT_RETURN_IF_ERROR(writer_->Wait());
  INGOT_RETURN_IF_ERROR(ranks_->communicator().Barrier());
  std::vector<std::string> rejected;
  INGOT_ASSIGN_OR_RETURN(const std::optional<std::string> checkpoint,
                         checkpoints_.NewestValid(rejected, config_.checkpoint().every()));
  for (const std::string& line : rejected) progress_.Say(absl::StrCat("passed over: ", line));
  INGOT_ASSIGN_OR_RETURN(const std::vector<ComparedField> fields, ResumeFields(checkpoint));
  INGOT_RETURN_IF_ERROR(ranks_->Compare(fields));
  if (!checkpoint.has_value()) {
    return StoppedBySpike(spike_step, "", absl::StrCat(reason, ", and there is no checkpoint to go back to"));
  }
  INGOT_RETURN_IF_ERROR(LoadFrom(*checkpoint));
  state_.spikes.skips = memory.skips;
  state_.spikes.rollbacks = memory.rollbacks;
  INGOT_RETURN_IF_ERROR(ReadOnFrom(behind));
  const std::string done = absl::StrCat("step ", spike_step, ": rolled back to step ", state_.step,
                                        " and passed over the data between: ", reason);
  progress_.Say(done);
  Log(EventRecord{.step = state_.step, .event = "rollback", .reason = done});
  return absl::OkStatus();
}

}  // namespace ingot
