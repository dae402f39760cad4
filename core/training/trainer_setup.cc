// Creating a trainer, resuming, and what it says before and after the loop.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/process_memory.h"
#include "core/base/status_macros.h"
#include "core/training/matmul_peak.h"
#include "core/training/memory_plan.h"
#include "core/training/rank_fields.h"
#include "core/training/raw_sources.h"
#include "core/training/trainer.h"
#include "kernels/cpu/blas.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"

namespace ingot {

struct Trainer::Parts {
  RunConfig config;
  std::shared_ptr<Ranks> ranks;
  std::string path;
  std::optional<RunDirectory> directory;
  TrainingData data;
  Tokenizer tokenizer;
  std::unique_ptr<Model> model;
  std::unique_ptr<Optimizer> optimizer;
  std::unique_ptr<DataParallel> parallel;
  HostState host_state;
  double peak_flops;
  std::string environment;
};

namespace {

// Apart from the seed of the first weights, whose streams are numbered likewise.
constexpr uint64_t kMomentStreams = 0x6D6F6D656E7473;

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

// From the first rank that has written its part of a checkpoint to the last. Beside it the watchdog's deadline holds, of
// the phase in which a save is waited for.
constexpr std::chrono::hours kSaveLimit(1);

// Under the policy of rollbacks the newest checkpoint of the interval stays, to be gone back to.
CheckpointStore StoreOf(const RunConfig& config, const std::string& run_directory, Ranks& ranks) {
  const bool rolls_back = config.spikes().policy() == SpikeConfig::rollback;
  const double scale = config.training().deadline_scale();
  const auto limit = std::chrono::milliseconds(kSaveLimit) * std::max<int64_t>(1, std::llround(scale));
  return CheckpointStore(run_directory, config.checkpoint().keep_last(), config.checkpoint().keep_every(),
                         rolls_back ? config.checkpoint().every() : 0, CheckpointRanks(ranks.control(), limit));
}

void SayLine(const std::string& line) {
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

CheckpointWriter::Options WriterOptionsOf(const RunConfig& config, const Ranks& ranks) {
  return {.background = config.checkpoint().background(),
          .max_failures = config.checkpoint().max_failures(),
          .say = ranks.first() ? SayLine : std::function<void(const std::string&)>()};
}

void PrintPlan(const RunConfig& config, Device device, const ParameterTable& table, const TrainingData& data,
               const ParallelPlan& parallel) {
  MemoryPlan plan = PlanOf(config, device, parallel, 0);
  if (device == Device::kCpu) plan.entries.push_back({"program, libraries, tokenizer", ResidentBytes()});
  std::printf("%s, %lld parameters\n%s%s\n%lld training tokens%s, %lld validation tokens, %lld tokens a step\n%s",
              config.model().architecture() == ModelConfig::gpt2 ? "gpt2" : "llama",
              static_cast<long long>(table.parameters), plan.ToString().c_str(),
              TotalsByZero(config, device, parallel.ranks).c_str(),
              static_cast<long long>(data.tokens(Split::kTraining)),
              HasRawDocuments(config.data()) ? " so far (raw documents become more)" : "",
              static_cast<long long>(data.tokens(Split::kValidation)), static_cast<long long>(TokensPerStep(config)),
              MixtureText(data, config).c_str());
  std::fflush(stdout);
}

// Collective.
absl::StatusOr<TrainingData> OpenRunData(const RunConfig& config, const std::string& run_directory, Ranks& ranks) {
  if (HasRawDocuments(config.data()) && ranks.first()) {
    SayLine("raw documents become tokens while the run trains; it begins with the first block of data.shuffle_tokens");
  }
  // Rank 0 has taken the caches of raw documents when the others look into them.
  const auto caches_open = [&] { return ranks.Compare({{"raw documents", "their caches are open"}}); };
  return OpenData(config, {.run_directory = run_directory, .writes = ranks.first(), .opened = caches_open});
}

// What the bits of a run depend on, beside its configuration and the plans of its products. The emulator takes products
// from the CPU's library.
std::string EnvironmentOf(const Backend& backend, const RunConfig& config, int64_t ranks) {
  const std::string order =
      config.parallel().reproducible() || ranks == 1 ? "" : absl::StrCat(", sums in the order of ", ranks, " ranks");
  if (backend.device() == Device::kCpu) return BlasName() + order;
  const std::string own = cuda::PrefersGemmSm90() ? ", our own product for sm_90a" : "";
  if (cuda::IsEmulated()) return absl::StrCat(backend.name(), ", ", BlasName(), own, order);
  // Without its path, which may be another on each machine. Ranks other than 0 have computed no product yet.
  const std::string library = cuda::GemmLibrary();
  return absl::StrCat(
      backend.name(), ", ",
      absl::StartsWith(library, "cuBLASLt") ? library.substr(0, library.find(',')) : "our own tiled product", own,
      order);
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
          .clip = optimizer.clip(),
          .moments = MomentsOf(config),
          .rounding_seed = config.training().seed() + kMomentStreams};
}

absl::StatusOr<std::unique_ptr<Trainer>> Trainer::Create(RunConfig config, const std::string& run_directory,
                                                         Device device, std::shared_ptr<Ranks> ranks) {
  INGOT_RETURN_IF_ERROR(CheckBlas());
  SetDefaultPrecision(device, config);
  SetDefaultOrder(config);
  INGOT_RETURN_IF_ERROR(ProblemsStatus(ConfigProblems(config, device)));
  INGOT_RETURN_IF_ERROR(ranks->Compare(ConfigFields(config)));
  INGOT_ASSIGN_OR_RETURN(TrainingData data, OpenRunData(config, run_directory, *ranks));
  INGOT_ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::Load(data.first().tokenizer_directory()));
  INGOT_RETURN_IF_ERROR(TakeVocabulary(data.first(), tokenizer, config));
  INGOT_RETURN_IF_ERROR(ProblemsStatus(ConfigProblems(config, device)));
  INGOT_ASSIGN_OR_RETURN(const ParallelPlan plan, ParallelPlan::Of(config, ranks->size()));
  RunShape shape = ShapeOf(config, device);
  const ParameterTable table = MakeParameterTable(DimsOf(config));
  shape.shard = plan.ShardOf(ranks->rank(), table.flat_size);
  const HostState::Options saved = SavedStateOf(config);
  INGOT_RETURN_IF_ERROR(CheckNumberOfFiles(CutCheckpoint(table, saved.format), saved.format));
  double peak_flops = 0;
  std::optional<RunDirectory> directory;
  if (ranks->first()) {
    // Before the plan: its matrices are gone when the model comes.
    INGOT_ASSIGN_OR_RETURN(peak_flops, MatmulPeak(device, shape.dtype));
    PrintPlan(config, device, table, data, plan);
    INGOT_ASSIGN_OR_RETURN(RunDirectory opened, RunDirectory::Open(run_directory, config));
    directory.emplace(std::move(opened));
  }
  INGOT_ASSIGN_OR_RETURN(std::unique_ptr<Model> model, Model::Create(DimsOf(config), shape));
  const std::string environment = EnvironmentOf(*model->backend(), config, ranks->size());
  INGOT_ASSIGN_OR_RETURN(const std::vector<ComparedField> fields, EnvironmentFields(data, table, environment));
  INGOT_RETURN_IF_ERROR(ranks->Compare(fields));
  INGOT_RETURN_IF_ERROR(ranks->Connect(device));
  if (ranks->first() && ranks->size() > 1) SayLine(absl::StrCat("data plane: ", ranks->data_plane()));
  INGOT_ASSIGN_OR_RETURN(std::unique_ptr<DataParallel> parallel,
                         DataParallel::Create(plan, ranks->communicator(), *model));
  INGOT_ASSIGN_OR_RETURN(Optimizer made, Optimizer::Create(*model, AdamWSettingsOf(config), parallel->updated()));
  auto optimizer = std::make_unique<Optimizer>(std::move(made));
  INGOT_ASSIGN_OR_RETURN(HostState host_state,
                         HostState::Create(*model, *optimizer, ranks->communicator(), plan, saved));
  const double peak = peak_flops * static_cast<double>(ranks->size());
  return std::unique_ptr<Trainer>(new Trainer({.config = std::move(config),
                                               .ranks = std::move(ranks),
                                               .path = run_directory,
                                               .directory = std::move(directory),
                                               .data = std::move(data),
                                               .tokenizer = std::move(tokenizer),
                                               .model = std::move(model),
                                               .optimizer = std::move(optimizer),
                                               .parallel = std::move(parallel),
                                               .host_state = std::move(host_state),
                                               .peak_flops = peak,
                                               .environment = environment}));
}

Trainer::Trainer(Parts parts)
    : config_(std::move(parts.config)),
      ranks_(std::move(parts.ranks)),
      path_(std::move(parts.path)),
      directory_(std::move(parts.directory)),
      watch_({.run_directory = path_,
              .rank = ranks_->rank(),
              .ranks = ranks_->size(),
              .deadline_scale = config_.training().deadline_scale(),
              .tell = [ranks = ranks_](const std::string& problem) { ranks->control().Stuck(problem); }},
             watch_note_),
      data_(std::move(parts.data)),
      tokenizer_(std::move(parts.tokenizer)),
      model_(std::move(parts.model)),
      optimizer_(std::move(parts.optimizer)),
      parallel_(std::move(parts.parallel)),
      host_state_(std::move(parts.host_state)),
      checkpoints_(StoreOf(config_, path_, *ranks_)),
      gemm_plans_(path_, DefaultCacheDirectory()),
      gemm_plan_sharing_(ranks_->control()),
      writer_(std::make_unique<CheckpointWriter>(checkpoints_, WriterOptionsOf(config_, *ranks_))),
      schedule_(ScheduleOf(config_)),
      progress_(config_.training().steps(), /*speaks=*/ranks_->first()),
      peak_flops_(parts.peak_flops) {
  state_.dataset_fingerprint = data_.fingerprint;
  state_.config = ConfigText(config_);
  state_.environment = std::move(parts.environment);
}

// Collective: what the ranks have in common is the time at which rank 0 began.
absl::Status Trainer::BeginWatching() {
  if (!watch_note_.empty()) progress_.Say(watch_note_);
  Enter(Phase::kStart);
  uint64_t attempt = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  INGOT_RETURN_IF_ERROR(ranks_->communicator().Broadcast(&attempt, sizeof(attempt), 0));
  watch_.Begin(attempt);
  ranks_->communicator().set_observer(
      [this](uint64_t sequence, uint64_t bytes, FlightState state) { watch_.Exchange(sequence, bytes, state); });
  return absl::OkStatus();
}

void Trainer::Enter(Phase phase) {
  ranks_->Report(state_.step, phase);
  watch_.Enter(state_.step + 1, phase);
}

absl::Status Trainer::ResumeFromNewestValid() {
  if (ranks_->first()) {
    if (const std::string note = gemm_plans_.Take(); !note.empty()) progress_.Say(note);
  }
  INGOT_RETURN_IF_ERROR(gemm_plan_sharing_.Begin());
  std::vector<std::string> rejected;
  INGOT_ASSIGN_OR_RETURN(const std::optional<std::string> newest, checkpoints_.NewestValid(rejected));
  for (const std::string& line : rejected) progress_.Say(absl::StrCat("passed over: ", line));
  INGOT_ASSIGN_OR_RETURN(const std::vector<ComparedField> fields, ResumeFields(newest));
  INGOT_RETURN_IF_ERROR(ranks_->Compare(fields));
  if (ranks_->first()) checkpoints_.CleanUp();
  if (newest.has_value()) {
    INGOT_RETURN_IF_ERROR(LoadFrom(*newest));
    const bool finished = state_.step >= config_.training().steps();
    progress_.Say(finished ? absl::StrCat("already finished: ", *newest, " is at step ", state_.step, " of ",
                                          config_.training().steps())
                           : absl::StrCat("resumed from ", *newest));
  } else {
    INGOT_RETURN_IF_ERROR(model_->Initialize(config_.training().seed()));
    INGOT_RETURN_IF_ERROR(parallel_->TakeParameters());
    if (config_.spikes().policy() == SpikeConfig::rollback) INGOT_RETURN_IF_ERROR(Save());  // the first to go back to
  }
  return ReadOnFrom(state_.next_sequence);
}

absl::Status Trainer::LoadFrom(const std::string& checkpoint) {
  INGOT_ASSIGN_OR_RETURN(TrainingState stored, host_state_.Load([&](const StateParts& into) {
    return LoadCheckpoint(checkpoint, model_->table(), into);
  }));
  INGOT_RETURN_IF_ERROR(parallel_->TakeParameters());
  if (stored.dataset_fingerprint != data_.fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrCat(checkpoint, ": expected the dataset it was trained on, found another in ",
                     data_.first().directory(), "; give that dataset by data.path, or another --output"));
  }
  if (stored.environment != state_.environment) {
    progress_.Say(absl::StrCat("note: trained with ", stored.environment, " so far, now with ", state_.environment,
                               ": the bits will differ from a run that never stopped"));
  }
  INGOT_RETURN_IF_ERROR(data_.Expect(stored.raw_documents));
  stored.config = state_.config;  // this start's, which may be longer or save more often
  stored.environment = state_.environment;
  state_ = std::move(stored);
  saved_step_ = state_.step;
  return absl::OkStatus();
}

// Metrics and data go on behind state_.step, the data at `sequence`.
absl::Status Trainer::ReadOnFrom(int64_t sequence) {
  state_.next_sequence = sequence;
  data_.training->set_on_growth([this] { Enter(Phase::kData); });  // slow storage is no hang
  if (ranks_->first()) {
    INGOT_ASSIGN_OR_RETURN(MetricsLog metrics, MetricsLog::Open(path_, state_.step));
    metrics_ = std::make_unique<MetricsLog>(std::move(metrics));
  }
  const int64_t B = config_.training().micro_batch();
  const ParallelPlan::Deal deal = parallel_->deal();
  data_.training->Start(sequence + deal.first * B, deal.stride * B, deal.run);
  data_wait_ = data_.training->seconds_waited();
  return absl::OkStatus();
}

void Trainer::SayWhereItEnded() {
  progress_.Say(absl::StrFormat("%s after step %d; %s holds checkpoints, metrics.jsonl and TensorBoard events",
                                stopped() ? "stopped by a signal; start again to go on" : "done", state_.step, path_));
  progress_.Say(absl::StrFormat("peak memory %.1f MiB", static_cast<double>(PeakResidentBytes()) / (1 << 20)));
}

}  // namespace ingot
