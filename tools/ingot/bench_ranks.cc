// ingot bench ranks: what it costs that several ranks train one model. Started by `ingot launch`; all is measured side by
// side in one run, because machines with more processes than processors are uneven.
#include <stdlib.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/training/checkpoint_writer.h"
#include "core/training/config.h"
#include "core/training/data_parallel.h"
#include "core/training/evaluate.h"
#include "core/training/host_state.h"
#include "core/training/memory_plan.h"
#include "core/training/optimizer.h"
#include "core/training/trainer.h"
#include "distributed/ranks.h"
#include "kernels/cuda/runtime.h"
#include "tools/ingot/bench.h"
#include "tools/ingot/bench_exchanges.h"
#include "tools/ingot/command.h"
#include "tools/ingot/device.h"
#include "tools/ingot/random_batch.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;
constexpr double kSecondsBetweenSaves = 60;

struct RanksFlags {
  std::string config;
  std::vector<std::string> settings;
  std::vector<int64_t> mebibytes = {1, 4, 16, 64};
  int64_t repeat = 9;
  std::string device;
  bool json = false;
};

double SecondsSince(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// One way to train, with a model of its own.
struct Contender {
  std::unique_ptr<Model> model;
  std::unique_ptr<DataParallel> parallel;
  std::unique_ptr<Optimizer> optimizer;
  std::vector<double> seconds, waited;  // of each step; in its exchanges
};

absl::StatusOr<Contender> MakeContender(Ranks& ranks, RunConfig config, Device device, bool reproducible) {
  Contender made;
  config.mutable_parallel()->set_reproducible(reproducible);
  INGOT_ASSIGN_OR_RETURN(const ParallelPlan plan, ParallelPlan::Of(config, ranks.size()));
  const ModelDims dims = DimsOf(config);
  RunShape shape = ShapeOf(config, device);
  shape.shard = plan.ShardOf(ranks.rank(), MakeParameterTable(dims).flat_size);
  INGOT_ASSIGN_OR_RETURN(made.model, Model::Create(dims, shape));
  INGOT_RETURN_IF_ERROR(made.model->Initialize(config.training().seed()));
  INGOT_ASSIGN_OR_RETURN(made.parallel, DataParallel::Create(plan, ranks.communicator(), *made.model));
  INGOT_RETURN_IF_ERROR(made.parallel->TakeParameters());
  INGOT_ASSIGN_OR_RETURN(Optimizer optimizer,
                         Optimizer::Create(*made.model, AdamWSettingsOf(config), made.parallel->updated()));
  made.optimizer = std::make_unique<Optimizer>(std::move(optimizer));
  return made;
}

// Forward and backward of this rank's micro-batches of random tokens.
absl::StatusOr<StepNumbers> Gradients(Contender& in) {
  StepNumbers mine;
  const ParallelPlan::Deal deal = in.parallel->deal();
  in.parallel->Begin();
  for (int64_t i = 0; i < deal.count; ++i) {
    const int64_t micro = deal.MicroBatch(i);
    TokenBatch batch = RandomBatch(in.model->dims(), in.model->shape(), micro);
    INGOT_ASSIGN_OR_RETURN(const double nats, in.model->Accumulate(InputOf(batch, false), 1.0f, 0.0f));
    mine.nats.push_back(nats);
    mine.targets += batch.target_count;
    INGOT_RETURN_IF_ERROR(in.parallel->Done(micro));
  }
  return mine;
}

// What the trainer does in a step.
absl::Status Step(Ranks& ranks, Contender& in, int64_t step) {
  INGOT_RETURN_IF_ERROR(ranks.communicator().Barrier());
  const Clock::time_point start = Clock::now();
  INGOT_ASSIGN_OR_RETURN(StepNumbers mine, Gradients(in));
  Clock::time_point exchange = Clock::now();
  INGOT_RETURN_IF_ERROR(in.parallel->Sum());
  double waited = SecondsSince(exchange);
  INGOT_ASSIGN_OR_RETURN(mine.block_sums, in.optimizer->BlockSums());
  exchange = Clock::now();
  INGOT_ASSIGN_OR_RETURN(const StepNumbers all, in.parallel->Gather(mine));
  waited += SecondsSince(exchange);
  in.optimizer->Apply(step, 1e-4, 1.0 / static_cast<double>(all.targets));
  INGOT_RETURN_IF_ERROR(in.model->backend()->Wait());
  exchange = Clock::now();
  INGOT_RETURN_IF_ERROR(in.parallel->ShareParameters());
  in.waited.push_back(waited + SecondsSince(exchange));
  in.seconds.push_back(SecondsSince(start));
  return absl::OkStatus();
}

// A folder of rank 0 that is gone at the end.
class TemporaryFolder {
 public:
  absl::Status Create() {
    std::string name = JoinPath(P_tmpdir, "ingot-bench-XXXXXX");
    if (mkdtemp(name.data()) == nullptr) return absl::UnavailableError(absl::StrCat("cannot create ", name));
    path_ = name;
    return absl::OkStatus();
  }
  ~TemporaryFolder() {
    if (!path_.empty()) RemoveRecursively(path_).IgnoreError();
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Seconds that this rank stands still for a save in the background: what its files need comes and is copied.
absl::StatusOr<std::vector<double>> SaveStalls(Ranks& ranks, Contender& in, const RunConfig& config, int64_t repeat) {
  const HostState::Options saved = SavedStateOf(config);
  INGOT_ASSIGN_OR_RETURN(HostState state,
                         HostState::Create(*in.model, *in.optimizer, ranks.communicator(), in.parallel->plan(), saved));
  TemporaryFolder folder;
  const CheckpointRanks all(ranks.control(), std::chrono::hours(1));
  absl::Status made = absl::OkStatus();
  if (ranks.first()) made = folder.Create();
  INGOT_ASSIGN_OR_RETURN(const std::string path,
                         all.FromFirst("a folder", made.ok() ? absl::StatusOr<std::string>(folder.path()) : made));
  const ParameterTable table = MakeParameterTable(in.model->dims());
  CheckpointWriter writer(CheckpointStore(path, 1, 0, 0, all), {.say = {}});
  std::vector<double> stalls;
  for (int64_t i = 0; i <= repeat; ++i) {
    INGOT_RETURN_IF_ERROR(ranks.communicator().Barrier());
    const Clock::time_point start = Clock::now();
    INGOT_ASSIGN_OR_RETURN(const HostState::Collected mine, state.Collect());
    const CheckpointContents contents = {.dims = in.model->dims(),
                                         .table = &table,
                                         .parameters = mine.parameters,
                                         .optimizer = mine.moments,
                                         .state = {.step = i + 1, .config = {}, .environment = {}},
                                         .tokenizer_directory = {},
                                         .weights_dtype = saved.format.weights,
                                         .shard_bytes = saved.format.shard_bytes};
    INGOT_RETURN_IF_ERROR(writer.Save(contents, /*marked=*/false));
    if (i > 0) stalls.push_back(SecondsSince(start));
    INGOT_RETURN_IF_ERROR(writer.Finish());
  }
  return stalls;
}

absl::StatusOr<nlohmann::ordered_json> BenchSteps(Ranks& ranks, Device device, const RanksFlags& flags) {
  INGOT_ASSIGN_OR_RETURN(RunConfig config, LoadConfig(flags.config, flags.settings, /*needs_data=*/false, device));
  constexpr int64_t kVocabulary = 1024;  // of presets that leave it to the dataset
  if (config.model().vocabulary() == 0) config.mutable_model()->set_vocabulary(kVocabulary);
  INGOT_ASSIGN_OR_RETURN(Contender reproducible, MakeContender(ranks, config, device, true));
  INGOT_ASSIGN_OR_RETURN(Contender fast, MakeContender(ranks, config, device, false));
  std::vector<double> ratios, waiting;
  for (int64_t i = 0; i <= flags.repeat; ++i) {
    // Taking turns in who goes first.
    for (Contender* contender : {i % 2 == 0 ? &reproducible : &fast, i % 2 == 0 ? &fast : &reproducible}) {
      INGOT_RETURN_IF_ERROR(Step(ranks, *contender, i + 1));
    }
    if (i == 0) continue;  // the first warms up
    ratios.push_back(reproducible.seconds.back() / fast.seconds.back());
    waiting.push_back(reproducible.waited.back() / reproducible.seconds.back());
  }
  INGOT_ASSIGN_OR_RETURN(const std::vector<double> stalls, SaveStalls(ranks, reproducible, config, flags.repeat));
  return nlohmann::ordered_json{{"parameters", reproducible.model->table().parameters},
                                {"micro_batches", reproducible.parallel->plan().micro_batches},
                                {"lanes", reproducible.parallel->plan().leaves},
                                {"reproducible_step_seconds", Median(reproducible.seconds)},
                                {"fast_step_seconds", Median(fast.seconds)},
                                {"reproducible_to_fast", Median(ratios)},
                                {"share_of_step_in_exchanges", Median(waiting)},
                                {"save_stall_seconds", Median(stalls)},
                                {"stall_share_at_a_save_a_minute", Median(stalls) / kSecondsBetweenSaves}};
}

void Print(const nlohmann::ordered_json& figures) {
  for (const auto& [name, value] : figures.items()) {
    if (name == "exchanges") {
      for (const auto& exchange : value) Print(exchange);
    } else {
      std::printf("%-38s %s\n", name.c_str(), value.dump().c_str());
    }
  }
}

absl::Status BenchRanks(const RanksFlags& flags) {
  INGOT_ASSIGN_OR_RETURN(const std::shared_ptr<Ranks> ranks, Ranks::Join({.environment = ProcessEnvironment(),
                                                                          .launch = {},
                                                                          .run_directory = P_tmpdir,
                                                                          .interface = {},
                                                                          .deadlines = {},
                                                                          .leave = {}}));
  if (ranks->size() < 2) {
    return absl::FailedPreconditionError("expected several ranks, found one: ingot launch --nproc 2 -- bench ranks …");
  }
  cuda::SetLocalRank(static_cast<int>(ranks->launch().local_rank));
  INGOT_ASSIGN_OR_RETURN(const std::shared_ptr<const Backend> backend, Backend::Create(DeviceOf(flags.device)));
  INGOT_RETURN_IF_ERROR(ranks->Connect(backend->device()));
  nlohmann::ordered_json figures = {{"ranks", ranks->size()},
                                    {"device", backend->name()},
                                    {"data_plane", ranks->data_plane()},
                                    {"exchanges", nlohmann::ordered_json::array()}};
  for (const int64_t mebibytes : flags.mebibytes) {
    INGOT_ASSIGN_OR_RETURN(const nlohmann::ordered_json exchange,
                           BenchExchange(*ranks, *backend, mebibytes, flags.repeat));
    figures["exchanges"].push_back(exchange);
  }
  INGOT_ASSIGN_OR_RETURN(const nlohmann::ordered_json steps, BenchSteps(*ranks, backend->device(), flags));
  figures.update(steps);
  INGOT_RETURN_IF_ERROR(ranks->communicator().Barrier());
  if (!ranks->first()) return absl::OkStatus();
  if (flags.json) {
    std::printf("%s\n", figures.dump(2).c_str());
  } else {
    Print(figures);
  }
  return absl::OkStatus();
}

}  // namespace

void AddBenchRanks(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand("ranks", "Exchanges, steps and saves of several ranks (by ingot launch)");
  auto flags = std::make_shared<RanksFlags>();
  command->add_option("--config,--preset", flags->config, "RunConfig in text format; its steps are measured")
      ->required();
  command->add_option("--set", flags->settings, "path.to.field=value; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  AddDeviceOption(*command, flags->device);
  command->add_option("--mebibytes", flags->mebibytes, "Buffers of the exchanges")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--repeat", flags->repeat, "Times measured; the median counts")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->callback([flags] { RunCommand([&] { return BenchRanks(*flags); }); });
}

}  // namespace ingot
