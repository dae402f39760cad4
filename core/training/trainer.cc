// The loop. Setting up stands in trainer_setup.cc.
#include "core/training/trainer.h"

#include <chrono>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/model/dims.h"
#include "core/training/evaluate.h"
#include "core/training/evaluate_together.h"
#include "core/training/memory_plan.h"
#include "core/training/trainer_log.h"
#include "distributed/exit_codes.h"
#include "kernels/gradient_norm.h"

namespace ingot {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool Divides(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

}  // namespace

absl::Status Trainer::Run() {
  const absl::Status status = TrainToTheEnd();
  writer_->Wait().IgnoreError();  // after an error: what is under way is still written
  parallel_->WaitForExchanges();
  ranks_->communicator().set_observer({});
  watch_.End(status.ok() ? exit_code() : ExitCodeOf(status), std::string(status.message()));
  return status;
}

absl::Status Trainer::TrainToTheEnd() {
  INGOT_RETURN_IF_ERROR(BeginWatching());
  INGOT_RETURN_IF_ERROR(ResumeFromNewestValid());
  StopSignals signals;
  while (state_.step < config_.training().steps() && stop_signal_ == 0) {
    const auto start = std::chrono::steady_clock::now();
    INGOT_ASSIGN_OR_RETURN(const StepResult result, Step());
    INGOT_RETURN_IF_ERROR(Settle(result, start));
    if (ranks_->first()) INGOT_RETURN_IF_ERROR(gemm_plans_.Save());  // before a checkpoint that depends on them
    if (ValidatesAfter(state_.step)) INGOT_RETURN_IF_ERROR(Validate());
    if (ComparesAfter(state_.step)) INGOT_RETURN_IF_ERROR(parallel_->CheckAgreement());
    if (SavesAfter(state_.step)) INGOT_RETURN_IF_ERROR(Save());
  }
  INGOT_RETURN_IF_ERROR(Save());
  INGOT_RETURN_IF_ERROR(writer_->Finish());
  INGOT_RETURN_IF_ERROR(ranks_->communicator().Barrier());  // nobody leaves before all is saved
  SayWhereItEnded();
  return absl::OkStatus();
}

absl::StatusOr<Trainer::StepResult> Trainer::Step() {
  INGOT_ASSIGN_OR_RETURN(StepNumbers mine, ComputeGradients());
  Enter(Phase::kReduce);
  INGOT_RETURN_IF_ERROR(parallel_->Sum());
  if (probe_) {
    double factor = 1;
    probe_(state_.step + 1, *model_, factor);
    for (double& nats : mine.nats) nats *= factor;
  }
  INGOT_ASSIGN_OR_RETURN(mine.block_sums, optimizer_->BlockSums());
  INGOT_ASSIGN_OR_RETURN(const StepNumbers all, parallel_->Gather(mine));
  stop_signal_ = all.stop_signal;
  return ResultOf(all);
}

// Forward and backward of this rank's micro-batches. How many targets the whole step has is known only when all ranks
// have told it, so the gradients are sums over targets, not yet means.
absl::StatusOr<StepNumbers> Trainer::ComputeGradients() {
  StepNumbers mine;
  mine.stop_signal = StopSignal();
  const ParallelPlan::Deal deal = parallel_->deal();
  parallel_->Begin();
  for (int64_t i = 0; i < deal.count; ++i) {
    Enter(Phase::kData);
    TokenBatch& batch = micro_batch_ = data_.training->Next();
    INGOT_RETURN_IF_ERROR(data_.training->status());
    Enter(Phase::kCompute);
    const ModelInput input = InputOf(batch, config_.data().mask_documents());
    INGOT_ASSIGN_OR_RETURN(const double nats, model_->Accumulate(input, 1.0f, config_.model().z_loss()));
    mine.nats.push_back(nats);
    mine.targets += batch.target_count;
    INGOT_RETURN_IF_ERROR(parallel_->Done(deal.MicroBatch(i)));
  }
  return mine;
}

// The same on all ranks: they have the same numbers.
Trainer::StepResult Trainer::ResultOf(const StepNumbers& numbers) const {
  const int64_t micros = static_cast<int64_t>(numbers.nats.size());
  const double targets = static_cast<double>(std::max<int64_t>(numbers.targets, 1));
  StepResult result;
  double nats = 0;
  for (int64_t micro = 0; micro < micros; ++micro) {
    if (!std::isfinite(numbers.nats[micro]) && std::isfinite(nats)) {
      result.where = absl::StrCat("micro-batch ", micro + 1, " of ", micros);
    }
    nats += numbers.nats[micro];
  }
  const auto blocks = static_cast<int64_t>(numbers.block_sums.size());
  result.loss = nats / targets;
  result.gradient_norm = NormOfBlockSums(numbers.block_sums.data(), blocks) / targets;
  result.gradient_scale = ClipScale(optimizer_->settings().clip, result.gradient_norm) / targets;
  return result;
}

absl::Status Trainer::ApplyUpdate(const StepResult& result) {
  Enter(Phase::kOptimizer);
  ++state_.step;
  ++state_.updates;
  optimizer_->Apply(state_.updates, LearningRate(schedule_, state_.step), result.gradient_scale);
  state_.tokens += TokensPerStep(config_);
  state_.next_sequence += SequencesPerStep();
  return parallel_->ShareParameters();
}

void Trainer::Record(const StepResult& result, double seconds) {
  if (!ranks_->first()) return;
  const double waited = data_.training->seconds_waited();
  const double rate = static_cast<double>(TokensPerStep(config_)) / seconds;
  const double flops = TrainingFlopsPerToken(model_->dims(), config_.data().sequence_length());
  const TrainingRecord record = {.step = state_.step,
                                 .tokens = state_.tokens,
                                 .loss = result.loss,
                                 .learning_rate = LearningRate(schedule_, state_.step),
                                 .gradient_norm = result.gradient_norm,
                                 .tokens_per_second = rate,
                                 .mfu = flops * rate / peak_flops_,
                                 .seconds = seconds,
                                 .data_wait_seconds = waited - std::exchange(data_wait_, waited),
                                 .save_stall_seconds = std::exchange(save_stall_, 0)};
  progress_.Show(record);
  Log(record);
}

// Batches of windows are dealt to the ranks; their sums are added in the order of the batches.
absl::Status Trainer::Validate() {
  if (data_.validation == nullptr) return absl::OkStatus();
  Enter(Phase::kValidate);
  const auto start = std::chrono::steady_clock::now();
  const int64_t T = config_.data().sequence_length();
  const WindowSource windows = WindowsOf(*data_.validation, (config_.validation().tokens() + T - 1) / T);
  INGOT_ASSIGN_OR_RETURN(
      const EvalTotals totals,
      EvaluateTogether(*model_, windows, tokenizer_, config_.data().mask_documents(), ranks_->communicator()));
  if (!ranks_->first()) return absl::OkStatus();
  const ValidationRecord record = {.step = state_.step,
                                   .targets = totals.targets,
                                   .loss = totals.loss(),
                                   .bits_per_byte = totals.bits_per_byte(),
                                   .seconds = SecondsSince(start)};
  progress_.Show(record);
  Log(record);
  return absl::OkStatus();
}

absl::Status Trainer::Save() {
  if (saved_step_ == state_.step) return absl::OkStatus();
  Enter(Phase::kSave);
  const auto start = std::chrono::steady_clock::now();
  saved_step_ = state_.step;
  INGOT_RETURN_IF_ERROR(writer_->Wait());  // what it reads is collected into now
  INGOT_ASSIGN_OR_RETURN(const HostState::Collected mine, host_state_.Collect());
  if (ranks_->first()) state_.raw_documents = data_.Marks();
  const CheckpointFormat format = SavedStateOf(config_).format;
  const CheckpointContents contents = {.dims = model_->dims(),
                                       .table = &model_->table(),
                                       .parameters = mine.parameters,
                                       .optimizer = mine.moments,
                                       .state = state_,
                                       .tokenizer_directory = data_.first().tokenizer_directory(),
                                       .weights_dtype = format.weights,
                                       .shard_bytes = format.shard_bytes};
  INGOT_RETURN_IF_ERROR(writer_->Save(contents, MarkedAfter(state_.step)));
  save_stall_ += SecondsSince(start);
  return absl::OkStatus();
}

bool Trainer::ValidatesAfter(int64_t step) const {
  return step == config_.training().steps() || Divides(config_.validation().every(), step);
}

bool Trainer::SavesAfter(int64_t step) const {
  return Divides(config_.checkpoint().every(), step) || Divides(config_.checkpoint().keep_every(), step) ||
         MarkedAfter(step);
}

// Before what is kept, too: a checkpoint holds what all ranks have.
bool Trainer::ComparesAfter(int64_t step) const {
  return Divides(config_.parallel().compare_every(), step) || SavesAfter(step);
}

// The last step at the peak of a wsd schedule: other lengths of run can branch off from it.
bool Trainer::MarkedAfter(int64_t step) const {
  return schedule_.kind == ScheduleKind::kWsd && step == DecayStart(schedule_);
}

}  // namespace ingot
