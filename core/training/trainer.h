#pragma once
// Trainer: pre-trains one model on one dataset in one RUN_DIR, from the newest valid checkpoint on.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/model.h"
#include "core/training/checkpoint.h"
#include "core/training/config.h"
#include "core/training/gemm_plan_files.h"
#include "core/training/host_state.h"
#include "core/training/metrics.h"
#include "core/training/open_data.h"
#include "core/training/optimizer.h"
#include "core/training/progress.h"
#include "core/training/run_directory.h"
#include "core/training/schedule.h"
#include "tokenizer/tokenizer.h"

namespace ingot {

class Trainer {
 public:
  // Checks the BLAS, opens the dataset and RUN_DIR, prints the memory plan and takes the memory. Nothing is trained
  // yet. Errors: what the configuration, the dataset, RUN_DIR or the machine do not allow.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(RunConfig config, const std::string& run_directory,
                                                         Device device = Device::kCpu);

  // Resumes, trains to training.steps, saves. SIGINT or SIGTERM ends it early after the step under way and a
  // checkpoint; StopSignal() then tells which. A loss or gradient that is not finite is an error, before the
  // optimizer touches anything.
  absl::Status Run();

  Model& model() const { return *model_; }
  const TrainingState& state() const { return state_; }

 private:
  struct StepResult {
    double loss = 0;  // nats a target
    double gradient_norm = 0;
  };
  struct Parts;  // what Create() has made
  explicit Trainer(Parts parts);

  absl::Status ResumeFromNewestValid();
  absl::StatusOr<StepResult> Step();
  void ApplyUpdate(const StepResult& result);
  absl::Status Record(const StepResult& result, double learning_rate, double seconds);
  absl::Status Validate();
  absl::Status Save();
  int64_t ReadMicroBatches();
  void SayWhereItEnded();

  bool ValidatesAfter(int64_t step) const;
  bool SavesAfter(int64_t step) const;
  bool MarkedAfter(int64_t step) const;

  RunConfig config_;
  RunDirectory directory_;
  TrainingData data_;
  Tokenizer tokenizer_;
  std::unique_ptr<Model> model_;
  Optimizer optimizer_;
  HostState host_state_;
  CheckpointStore checkpoints_;
  GemmPlanFiles gemm_plans_;
  Schedule schedule_;
  Progress progress_;
  std::unique_ptr<MetricsLog> metrics_;
  std::vector<TokenBatch> micro_batches_;  // of one step: B * T tokens each
  TrainingState state_;
  double peak_flops_;     // measured peak of matrix products, FLOP/s
  double data_wait_ = 0;  // seconds, at the end of the last step
  int64_t saved_step_ = -1;
};

// The schedule and the optimizer's settings that a configuration describes.
Schedule ScheduleOf(const RunConfig& config);
AdamWSettings AdamWSettingsOf(const RunConfig& config);

}  // namespace ingot
