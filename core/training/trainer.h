#pragma once
// Trainer: pre-trains one model on one dataset in one RUN_DIR, from the newest valid checkpoint on. As many processes as
// there are ranks do it together, each with a trainer; rank 0 writes what is written once, and checkpoints are
// written by all.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/model.h"
#include "core/training/checkpoint.h"
#include "core/training/checkpoint_writer.h"
#include "core/training/config.h"
#include "core/training/data_parallel.h"
#include "core/training/gemm_plan_files.h"
#include "core/training/gemm_plan_sharing.h"
#include "core/training/host_state.h"
#include "core/training/metrics.h"
#include "core/training/open_data.h"
#include "core/training/optimizer.h"
#include "core/training/progress.h"
#include "core/training/run_directory.h"
#include "core/training/run_watch.h"
#include "core/training/schedule.h"
#include "core/training/stop.h"
#include "distributed/ranks.h"
#include "tokenizer/tokenizer.h"

namespace ingot {

class Trainer {
 public:
  // Checks the BLAS, opens the dataset and RUN_DIR, prints the memory plan and takes the memory. Nothing is trained
  // yet. Collective. Errors: what the configuration, the dataset, RUN_DIR or the machine do not allow, and ranks that
  // were not started alike.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(RunConfig config, const std::string& run_directory,
                                                         Device device = Device::kCpu,
                                                         std::shared_ptr<Ranks> ranks = Ranks::Alone());

  // Resumes, trains to training.steps, saves. SIGINT, SIGTERM or SIGUSR1 at any rank ends it early after the step under
  // way and a checkpoint. What becomes of a loss or gradient that is out of proportion or not finite is decided by
  // config.spikes, before the optimizer touches anything. Collective.
  absl::Status Run();

  // Whether Run() ended before training.steps because of a signal, here or at another rank.
  bool stopped() const { return stop_signal_ != 0 && state_.step < config_.training().steps(); }
  // What a process leaves with after a Run() without an error.
  int exit_code() const { return stopped() ? ExitCodeOfStop(static_cast<int>(stop_signal_)) : 0; }

  // Called in each step when the gradients are summed and not yet looked at, with the step's number (from 1). It may
  // change this rank's part of the gradients and the factor that its losses are multiplied by: how tests make a spike.
  using Probe = std::function<void(int64_t step, Model& model, double& loss_factor)>;
  void set_probe(Probe probe) { probe_ = std::move(probe); }

  Model& model() const { return *model_; }
  const TrainingState& state() const { return state_; }

 private:
  struct StepResult {
    double loss = 0;  // nats a target
    double gradient_norm = 0;
    double gradient_scale = 0;  // of the sum of the targets' gradients: their mean, clipped
    std::string where;          // the first micro-batch whose loss is not finite
  };
  struct Parts;  // what Create() has made
  explicit Trainer(Parts parts);

  absl::Status TrainToTheEnd();
  absl::Status BeginWatching();
  absl::Status ResumeFromNewestValid();
  absl::StatusOr<StepResult> Step();
  absl::StatusOr<StepNumbers> ComputeGradients();
  StepResult ResultOf(const StepNumbers& numbers) const;
  absl::Status Settle(const StepResult& result, std::chrono::steady_clock::time_point start);
  absl::Status ApplyUpdate(const StepResult& result);
  absl::Status Skip(const std::string& reason);
  absl::Status RollBack(const std::string& reason);
  absl::Status LoadFrom(const std::string& checkpoint);
  absl::Status ReadOnFrom(int64_t sequence);
  void Record(const StepResult& result, double seconds);
  absl::Status Validate();
  absl::Status Save();
  template <typename AnyRecord>
  void Log(const AnyRecord& record);
  void Enter(Phase phase);
  void SayWhereItEnded();

  bool ValidatesAfter(int64_t step) const;
  bool SavesAfter(int64_t step) const;
  bool ComparesAfter(int64_t step) const;
  bool MarkedAfter(int64_t step) const;
  int64_t SequencesPerStep() const { return TokensPerStep(config_) / config_.data().sequence_length(); }

  RunConfig config_;
  std::shared_ptr<Ranks> ranks_;
  std::string path_;                       // RUN_DIR
  std::optional<RunDirectory> directory_;  // rank 0
  std::string watch_note_;
  RunWatch watch_;
  TrainingData data_;
  Tokenizer tokenizer_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<DataParallel> parallel_;
  HostState host_state_;
  CheckpointStore checkpoints_;
  GemmPlanFiles gemm_plans_;  // of rank 0
  GemmPlanSharing gemm_plan_sharing_;
  std::unique_ptr<CheckpointWriter> writer_;
  Schedule schedule_;
  Progress progress_;
  std::unique_ptr<MetricsLog> metrics_;  // rank 0
  TokenBatch micro_batch_;               // B * T tokens
  TrainingState state_;
  int64_t stop_signal_ = 0;  // as the ranks agreed in the last step
  double peak_flops_;        // measured peak of matrix products of all ranks, FLOP/s
  double data_wait_ = 0;     // seconds, at the end of the last step
  double save_stall_ = 0;    // seconds, since the last step
  int64_t saved_step_ = -1;
  bool log_failed_ = false;  // the last line of metrics.jsonl could not be written, and that was said
  Probe probe_;
};

// The schedule and the optimizer's settings that a configuration describes.
Schedule ScheduleOf(const RunConfig& config);
AdamWSettings AdamWSettingsOf(const RunConfig& config);

}  // namespace ingot
