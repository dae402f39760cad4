// The loop. Setting up stands in trainer_setup.cc.
#include "core/training/trainer.h"

#include <chrono>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/model/dims.h"
#include "core/training/evaluate.h"
#include "core/training/stop.h"
#include "distributed/exit_codes.h"

namespace ingot {
namespace {

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

bool Divides(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

}  // namespace

absl::Status Trainer::Run() {
  const absl::Status status = TrainToTheEnd();
  const bool unfinished = status.ok() && state_.step < config_.training().steps();
  watch_.End(unfinished    ? ExitCodeOfStop(StopSignal())
             : status.ok() ? 0
                           : ExitCodeOf(status),
             std::string(status.message()));
  return status;
}

absl::Status Trainer::TrainToTheEnd() {
  if (!watch_note_.empty()) progress_.Say(watch_note_);
  Enter(Phase::kStart);
  INGOT_RETURN_IF_ERROR(ResumeFromNewestValid());
  StopSignals signals;
  while (state_.step < config_.training().steps() && StopSignal() == 0) {
    const auto start = std::chrono::steady_clock::now();
    INGOT_ASSIGN_OR_RETURN(const StepResult result, Step());
    INGOT_RETURN_IF_ERROR(Settle(result, start));
    if (ValidatesAfter(state_.step)) INGOT_RETURN_IF_ERROR(Validate());
    if (SavesAfter(state_.step)) INGOT_RETURN_IF_ERROR(Save());
  }
  INGOT_RETURN_IF_ERROR(Save());
  INGOT_RETURN_IF_ERROR(writer_->Finish());
  SayWhereItEnded();
  return absl::OkStatus();
}

// Forward and backward of all micro-batches. Every batch is read before the first is computed: the weight of a target
// in the gradient, 1 / targets of the whole step, is known only then.
absl::StatusOr<Trainer::StepResult> Trainer::Step() {
  Enter(Phase::kData);
  const int64_t targets = ReadMicroBatches();
  INGOT_RETURN_IF_ERROR(data_.training->status());
  const float scale = 1.0f / static_cast<float>(targets);
  const int64_t step = state_.step + 1, micros = static_cast<int64_t>(micro_batches_.size());
  model_->ZeroGradients();
  double nats = 0;
  std::string where;
  for (int64_t micro = 0; micro < micros; ++micro) {
    Enter(Phase::kCompute);
    const ModelInput input = InputOf(micro_batches_[micro], config_.data().mask_documents());
    INGOT_ASSIGN_OR_RETURN(const double sum, model_->Accumulate(input, scale, config_.model().z_loss()));
    if (!std::isfinite(sum) && std::isfinite(nats)) where = absl::StrCat("micro-batch ", micro + 1, " of ", micros);
    nats += sum;
  }
  double loss = nats / static_cast<double>(targets);
  if (probe_) probe_(step, *model_, loss);
  INGOT_ASSIGN_OR_RETURN(const double norm, optimizer_.GradientNorm());
  return StepResult{.loss = loss, .gradient_norm = norm, .where = where};
}

int64_t Trainer::ReadMicroBatches() {
  int64_t targets = 0;
  for (TokenBatch& batch : micro_batches_) {
    batch = data_.training->Next();
    targets += batch.target_count;
  }
  return std::max<int64_t>(targets, 1);
}

void Trainer::ApplyUpdate(const StepResult& result) {
  Enter(Phase::kOptimizer);
  ++state_.step;
  ++state_.updates;
  optimizer_.Apply(state_.updates, LearningRate(schedule_, state_.step), result.gradient_norm);
  state_.tokens += TokensPerStep(config_);
  state_.next_sequence += SequencesPerStep();
}

absl::Status Trainer::Record(const StepResult& result, double learning_rate, double seconds) {
  const double waited = data_.training->seconds_waited();
  const double rate = static_cast<double>(TokensPerStep(config_)) / seconds;
  const double flops = TrainingFlopsPerToken(model_->dims(), config_.data().sequence_length());
  const TrainingRecord record = {.step = state_.step,
                                 .tokens = state_.tokens,
                                 .loss = result.loss,
                                 .learning_rate = learning_rate,
                                 .gradient_norm = result.gradient_norm,
                                 .tokens_per_second = rate,
                                 .mfu = flops * rate / peak_flops_,
                                 .seconds = seconds,
                                 .data_wait_seconds = waited - std::exchange(data_wait_, waited)};
  progress_.Show(record);
  Log(metrics_->Record(record));
  return absl::OkStatus();
}

absl::Status Trainer::Validate() {
  if (data_.validation == nullptr) return absl::OkStatus();
  Enter(Phase::kValidate);
  const auto start = std::chrono::steady_clock::now();
  const int64_t T = config_.data().sequence_length();
  const int64_t windows = (config_.validation().tokens() + T - 1) / T;
  INGOT_ASSIGN_OR_RETURN(const EvalTotals totals, Evaluate(*model_, WindowsOf(*data_.validation, windows), tokenizer_,
                                                           config_.data().mask_documents()));
  const ValidationRecord record = {.step = state_.step,
                                   .targets = totals.targets,
                                   .loss = totals.loss(),
                                   .bits_per_byte = totals.bits_per_byte(),
                                   .seconds = SecondsSince(start)};
  progress_.Show(record);
  Log(metrics_->Record(record));
  return absl::OkStatus();
}

absl::Status Trainer::Save() {
  if (saved_step_ == state_.step) return absl::OkStatus();
  Enter(Phase::kSave);
  const auto start = std::chrono::steady_clock::now();
  INGOT_RETURN_IF_ERROR(writer_->Wait());  // what it reads may be what is written to now
  INGOT_RETURN_IF_ERROR(host_state_.Download());
  const bool bf16 = config_.checkpoint().weights_dtype() == CheckpointConfig::bf16;
  const CheckpointContents contents = {.dims = model_->dims(),
                                       .table = &model_->table(),
                                       .parameters = host_state_.parameters.tensor(),
                                       .optimizer = host_state_.moments(),
                                       .state = state_,
                                       .tokenizer_directory = data_.first().tokenizer_directory(),
                                       .weights_dtype = bf16 ? DType::kBf16 : DType::kF32};
  saved_step_ = state_.step;
  INGOT_RETURN_IF_ERROR(writer_->Save(contents, MarkedAfter(state_.step)));
  if (metrics_ != nullptr) Log(metrics_->Record(SaveRecord{.step = state_.step, .stall_seconds = SecondsSince(start)}));
  return absl::OkStatus();
}

// Metrics that cannot be written are no reason to end a run: a full disk that is said once.
void Trainer::Log(const absl::Status& status) {
  if (!status.ok() && !log_failed_) progress_.Say(absl::StrCat("warning: ", absl::string_view(status.message())));
  log_failed_ = !status.ok();
}

bool Trainer::ValidatesAfter(int64_t step) const {
  return step == config_.training().steps() || Divides(config_.validation().every(), step);
}

bool Trainer::SavesAfter(int64_t step) const {
  return Divides(config_.checkpoint().every(), step) || Divides(config_.checkpoint().keep_every(), step) ||
         MarkedAfter(step);
}

// The last step at the peak of a wsd schedule: other lengths of run can branch off from it.
bool Trainer::MarkedAfter(int64_t step) const {
  return schedule_.kind == ScheduleKind::kWsd && step == DecayStart(schedule_);
}

}  // namespace ingot
