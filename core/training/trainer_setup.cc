// Creating a trainer, resuming, and what it says before and after the loop.

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/process_memory.h"
#include "core/base/status_macros.h"
#include "core/training/matmul_peak.h"
#include "core/training/stop.h"
#include "core/training/trainer.h"
#include "kernels/cpu/blas.h"
#include "kernels/cuda/runtime.h"

namespace ingot {

struct Trainer::Parts {
  RunConfig config;
  RunDirectory directory;
  TrainingData data;
  Tokenizer tokenizer;
  std::unique_ptr<Model> model;
  Optimizer optimizer;
  HostState host_state;
  std::unique_ptr<CheckpointWriter> writer;
  double peak_flops;
};

namespace {

absl::Status CheckBlas() {
  std::string problem;
  if (BlasIsRight(&problem)) return absl::OkStatus();
  return absl::FailedPreconditionError(problem);
}

// A vocabulary of 0 becomes the dataset's; another must hold every id of the tokenizer.
absl::Status TakeVocabulary(const Dataset& dataset, const Tokenizer& tokenizer, RunConfig& config) {
  if (config.model().vocabulary() == 0) config.mutable_model()->set_vocabulary(dataset.vocabulary());
  if (config.model().vocabulary() >= tokenizer.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("model.vocabulary: expected at least ", tokenizer.size(),
                                                 ", the ids of the tokenizer of ", dataset.directory(), ", found ",
                                                 config.model().vocabulary()));
}

// Elements of each flat buffer that a save copies: what training changes while it is written. On CUDA the state of the
// host is a copy already.
int64_t CopiedAtSave(const RunConfig& config, Device device, const ParameterTable& table) {
  return config.checkpoint().background() && device == Device::kCpu ? table.flat_size : 0;
}

// Under the policy of rollbacks the newest checkpoint of the interval stays, to be gone back to.
CheckpointStore StoreOf(const RunConfig& config, const std::string& run_directory) {
  const bool rolls_back = config.spikes().policy() == SpikeConfig::rollback;
  return CheckpointStore(run_directory, config.checkpoint().keep_last(), config.checkpoint().keep_every(),
                         rolls_back ? config.checkpoint().every() : 0);
}

void SayLine(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

void PrintPlan(const RunConfig& config, Device device, const ParameterTable& table, const TrainingData& data) {
  MemoryPlan plan = Model::Plan(DimsOf(config), ShapeOf(config, device));
  plan.entries.push_back({"optimizer moments", Optimizer::Bytes(table)});
  if (const int64_t copied = CopiedAtSave(config, device, table); copied > 0) {
    plan.entries.push_back({"checkpoint being written", CheckpointWriter::Bytes(copied)});
  }
  if (device == Device::kCpu) plan.entries.push_back({"program, libraries, tokenizer", ResidentBytes()});
  std::printf("%s, %lld parameters\n%s\n%lld training tokens, %lld validation tokens, %lld tokens a step\n%s",
              config.model().architecture() == ModelConfig::gpt2 ? "gpt2" : "llama",
              static_cast<long long>(table.parameters), plan.ToString().c_str(),
              static_cast<long long>(data.tokens(Split::kTraining)),
              static_cast<long long>(data.tokens(Split::kValidation)), static_cast<long long>(TokensPerStep(config)),
              MixtureText(data, config).c_str());
  std::fflush(stdout);
}

// What the bits of a run depend on, beside its configuration. The emulator takes its products from the CPU's library.
std::string EnvironmentOf(const Backend& backend) {
  if (backend.device() == Device::kCpu) return BlasName();
  return cuda::IsEmulated() ? absl::StrCat(backend.name(), ", ", BlasName()) : backend.name();
}

}  // namespace

Schedule ScheduleOf(const RunConfig& config) {
  Schedule schedule = {.peak = config.optimizer().learning_rate(),
                       .final_fraction = config.schedule().final_fraction(),
                       .steps = config.training().steps(),
                       .warmup_steps = config.schedule().warmup_steps(),
                       .decay_steps = config.schedule().decay_steps()};
  switch (config.schedule().kind()) {
    case ScheduleConfig::cosine:
      schedule.kind = ScheduleKind::kCosine;
      break;
    case ScheduleConfig::linear:
      schedule.kind = ScheduleKind::kLinear;
      break;
    case ScheduleConfig::constant:
      schedule.kind = ScheduleKind::kConstant;
      break;
    case ScheduleConfig::wsd:
      schedule.kind = ScheduleKind::kWsd;
      break;
  }
  return schedule;
}

AdamWSettings AdamWSettingsOf(const RunConfig& config) {
  const OptimizerConfig& optimizer = config.optimizer();
  return {.beta1 = optimizer.beta1(),
          .beta2 = optimizer.beta2(),
          .eps = optimizer.eps(),
          .weight_decay = optimizer.weight_decay(),
          .clip = optimizer.clip()};
}

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(RunConfig config, const std::string& run_directory,
                                                         Device device) {
  INGOT_RETURN_IF_ERROR(CheckBlas());
  SetDefaultPrecision(device, config);
  INGOT_RETURN_IF_ERROR(ProblemsStatus(ConfigProblems(config, device)));
  INGOT_ASSIGN_OR_RETURN(TrainingData data, OpenData(config));
  INGOT_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(data.first().tokenizer_directory()));
  INGOT_RETURN_IF_ERROR(TakeVocabulary(data.first(), tokenizer, config));
  INGOT_RETURN_IF_ERROR(ProblemsStatus(ConfigProblems(config, device)));
  const RunShape shape = ShapeOf(config, device);
  // Before the plan: its matrices are gone when the model comes.
  INGOT_ASSIGN_OR_RETURN(const double peak_flops, MatmulPeak(device, shape.dtype));
  const ParameterTable table = MakeParameterTable(DimsOf(config));
  PrintPlan(config, device, table, data);
  INGOT_ASSIGN_OR_RETURN(RunDirectory directory, RunDirectory::Open(run_directory, config));
  INGOT_ASSIGN_OR_RETURN(std::unique_ptr<Model> model, Model::Create(DimsOf(config), shape));
  INGOT_ASSIGN_OR_RETURN(Optimizer optimizer, Optimizer::Create(*model, AdamWSettingsOf(config)));
  INGOT_ASSIGN_OR_RETURN(HostState host_state, HostState::Create(*model, optimizer));
  INGOT_ASSIGN_OR_RETURN(
      std::unique_ptr<CheckpointWriter> writer,
      CheckpointWriter::Create(StoreOf(config, run_directory), {.background = config.checkpoint().background(),
                                                                .max_failures = config.checkpoint().max_failures(),
                                                                .copied = CopiedAtSave(config, device, table),
                                                                .say = SayLine}));
  return std::unique_ptr<Trainer>(new Trainer({.config = std::move(config),
                                               .directory = std::move(directory),
                                               .data = std::move(data),
                                               .tokenizer = std::move(tokenizer),
                                               .model = std::move(model),
                                               .optimizer = std::move(optimizer),
                                               .host_state = std::move(host_state),
                                               .writer = std::move(writer),
                                               .peak_flops = peak_flops}));
}

Trainer::Trainer(Parts parts)
    : config_(std::move(parts.config)),
      directory_(std::move(parts.directory)),
      watch_({.run_directory = directory_.path(),
              .rank = 0,
              .ranks = 1,
              .deadline_scale = config_.training().deadline_scale(),
              .tell = {}},
             watch_note_),
      data_(std::move(parts.data)),
      tokenizer_(std::move(parts.tokenizer)),
      model_(std::move(parts.model)),
      optimizer_(std::move(parts.optimizer)),
      host_state_(std::move(parts.host_state)),
      checkpoints_(StoreOf(config_, directory_.path())),
      writer_(std::move(parts.writer)),
      schedule_(ScheduleOf(config_)),
      progress_(config_.training().steps()),
      micro_batches_(TokensPerStep(config_) / (config_.training().micro_batch() * config_.data().sequence_length())),
      peak_flops_(parts.peak_flops) {
  state_.dataset_fingerprint = data_.fingerprint;
  state_.config = ConfigText(config_);
  state_.environment = EnvironmentOf(*model_->backend());
}

absl::Status Trainer::ResumeFromNewestValid() {
  std::vector<std::string> rejected;
  INGOT_ASSIGN_OR_RETURN(const std::optional<std::string> newest, checkpoints_.NewestValid(rejected));
  for (const std::string& line : rejected) progress_.Say(absl::StrCat("passed over: ", line));
  checkpoints_.CleanUp();
  if (newest.has_value()) {
    INGOT_RETURN_IF_ERROR(LoadFrom(*newest));
    const bool finished = state_.step >= config_.training().steps();
    progress_.Say(finished ? absl::StrCat("already finished: ", *newest, " is at step ", state_.step, " of ",
                                          config_.training().steps())
                           : absl::StrCat("resumed from ", *newest));
  } else {
    INGOT_RETURN_IF_ERROR(model_->Initialize(config_.training().seed()));
    if (config_.spikes().policy() == SpikeConfig::rollback) INGOT_RETURN_IF_ERROR(Save());  // the first to go back to
  }
  return ReadOnFrom(state_.next_sequence);
}

absl::Status Trainer::LoadFrom(const std::string& checkpoint) {
  INGOT_ASSIGN_OR_RETURN(TrainingState stored, LoadCheckpoint(checkpoint, model_->table(),
                                                              host_state_.parameters.tensor(), host_state_.moments()));
  INGOT_RETURN_IF_ERROR(host_state_.UploadTo(*model_));
  if (stored.dataset_fingerprint != data_.fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat(checkpoint, ": expected the dataset it was trained on, found another in ",
                     data_.first().directory(), "; give that dataset by data.path, or another --output"));
  }
  if (stored.environment != state_.environment) {
    progress_.Say(absl::StrCat("note: trained with ", stored.environment, " so far, now with ", state_.environment,
                               ": the bits will differ from a run that never stopped"));
  }
  stored.config = state_.config;  // this start's, which may be longer or save more often
  stored.environment = state_.environment;
  state_ = std::move(stored);
  saved_step_ = state_.step;
  return absl::OkStatus();
}

// Metrics and data go on behind state_.step, the data at `sequence`.
absl::Status Trainer::ReadOnFrom(int64_t sequence) {
  state_.next_sequence = sequence;
  INGOT_ASSIGN_OR_RETURN(MetricsLog metrics, MetricsLog::Open(directory_.path(), state_.step));
  metrics_ = std::make_unique<MetricsLog>(std::move(metrics));
  data_.training->Start(sequence, config_.training().micro_batch());
  data_wait_ = data_.training->seconds_waited();
  return absl::OkStatus();
}

void Trainer::SayWhereItEnded() {
  const bool stopped = StopSignal() != 0 && state_.step < config_.training().steps();
  progress_.Say(absl::StrFormat("%s after step %d; %s holds checkpoints, metrics.jsonl and TensorBoard events",
                                stopped ? "stopped by a signal; start again to go on" : "done", state_.step,
                                directory_.path()));
  progress_.Say(absl::StrFormat("peak memory %.1f MiB", static_cast<double>(PeakResidentBytes()) / (1 << 20)));
}

}  // namespace ingot
