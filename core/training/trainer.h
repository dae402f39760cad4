#pragma once
// Trainer: pre-trains one model on one dataset in one RUN_DIR, from the newest valid checkpoint on.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/model.h"
#include "core/training/checkpoint.h"
#include "core/training/checkpoint_writer.h"
#include "core/training/config.h"
#include "core/training/host_state.h"
#include "core/training/metrics.h"
#include "core/training/open_data.h"
#include "core/training/optimizer.h"
#include "core/training/progress.h"
#include "core/training/run_directory.h"
#include "core/training/run_watch.h"
#include "core/training/schedule.h"
#include "tokenizer/tokenizer.h"

namespace ingot {

class Trainer {
 public:
  // Checks the BLAS, opens the dataset and RUN_DIR, prints the memory plan and takes the memory. Nothing is trained
  // yet. Errors: what the configuration, the dataset, RUN_DIR or the machine do not allow.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(RunConfig config, const std::string& run_directory,
                                                         Device device = Device::kCpu);

  // Resumes, trains to training.steps, saves. SIGINT, SIGTERM or SIGUSR1 ends it early after the step under way and a
  // checkpoint; StopSignal() then tells which. What becomes of a loss or gradient that is out of proportion or not
  // finite is decided by config.spikes, before the optimizer touches anything.
  absl::Status Run();

  // Called after backward of each step, before its gradients are looked at, with the step's number (from 1) and its
  // loss, which it may change as it may the gradients: how tests make a spike.
  using Probe = std::function<void(int64_t step, Model& model, double& loss)>;
  void set_probe(Probe probe) { probe_ = std::move(probe); }

  Model& model() const { return *model_; }
  const TrainingState& state() const { return state_; }

 private:
  struct StepResult {
    double loss = 0;  // nats a target
    double gradient_norm = 0;
    std::string where;  // the first micro-batch whose loss is not finite
  };
  struct Parts;  // what Create() has made
  explicit Trainer(Parts parts);

  absl::Status TrainToTheEnd();
  void Enter(Phase phase) { watch_.Enter(state_.step + 1, phase); }
  absl::Status ResumeFromNewestValid();
  absl::StatusOr<StepResult> Step();
  void ApplyUpdate(const StepResult& result);
  absl::Status Settle(const StepResult& result, std::chrono::steady_clock::time_point start);
  absl::Status Skip(const std::string& reason);
  absl::Status RollBack(const std::string& reason);
  absl::Status LoadFrom(const std::string& checkpoint);
  absl::Status ReadOnFrom(int64_t sequence);
  absl::Status Record(const StepResult& result, double learning_rate, double seconds);
  absl::Status Validate();
  absl::Status Save();
  int64_t ReadMicroBatches();
  void Log(const absl::Status& status);
  void SayWhereItEnded();

  bool ValidatesAfter(int64_t step) const;
  bool SavesAfter(int64_t step) const;
  bool MarkedAfter(int64_t step) const;
  int64_t SequencesPerStep() const { return TokensPerStep(config_) / config_.data().sequence_length(); }

  RunConfig config_;
  RunDirectory directory_;
  std::string watch_note_;
  RunWatch watch_;
  TrainingData data_;
  Tokenizer tokenizer_;
  std::unique_ptr<Model> model_;
  Optimizer optimizer_;
  HostState host_state_;
  CheckpointStore checkpoints_;
  std::unique_ptr<CheckpointWriter> writer_;
  Schedule schedule_;
  Progress progress_;
  std::unique_ptr<MetricsLog> metrics_;
  std::vector<TokenBatch> micro_batches_;  // of one step: B * T tokens each
  TrainingState state_;
  double peak_flops_;     // measured peak of matrix products, FLOP/s
  double data_wait_ = 0;  // seconds, at the end of the last step
  int64_t saved_step_ = -1;
  bool log_failed_ = false;  // the last line of metrics.jsonl could not be written, and that was said
  Probe probe_;
};

// The schedule and the optimizer's settings that a configuration describes.
Schedule ScheduleOf(const RunConfig& config);
AdamWSettings AdamWSettingsOf(const RunConfig& config);

}  // namespace ingot
