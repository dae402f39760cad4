// ingot bench step: whole training steps on random tokens, as tokens a second and as a share of the sgemm peak.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/base/process_memory.h"
#include "core/base/status_macros.h"
#include "core/training/config.h"
#include "core/training/evaluate.h"
#include "core/training/matmul_peak.h"
#include "core/training/optimizer.h"
#include "core/training/trainer.h"
#include "kernels/cpu/blas.h"
#include "kernels/cuda/gemm.h"
#include "kernels/cuda/runtime.h"
#include "kernels/gradient_norm.h"
#include "tools/ingot/bench.h"
#include "tools/ingot/command.h"
#include "tools/ingot/device.h"
#include "tools/ingot/random_batch.h"
#include "tools/ingot/spec_peak.h"

namespace ingot {
namespace {

struct StepFlags {
  std::string config;
  std::vector<std::string> settings;
  int64_t micro_batch = 0, sequence_length = 0, micro_batches = 1;
  int64_t repeat = 5;
  std::string device;
  bool json = false;
};

// Forward and backward of `micro_batches`, norm and AdamW.
absl::StatusOr<double> SecondsOfStep(Model& model, Optimizer& optimizer, TokenBatch& batch, int64_t micro_batches,
                                     float z_loss, int64_t step) {
  const auto start = std::chrono::steady_clock::now();
  model.ZeroGradients();
  for (int64_t i = 0; i < micro_batches; ++i) {
    INGOT_RETURN_IF_ERROR(model.Accumulate(InputOf(batch, false), 1.0f, z_loss).status());
  }
  INGOT_ASSIGN_OR_RETURN(const std::vector<double> sums, optimizer.BlockSums());
  const auto targets = static_cast<double>(batch.target_count * micro_batches);
  const double norm = NormOfBlockSums(sums.data(), static_cast<int64_t>(sums.size())) / targets;
  optimizer.Apply(step, 1e-4, ClipScale(optimizer.settings().clip, norm) / targets);
  INGOT_RETURN_IF_ERROR(model.backend()->Wait());
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

absl::StatusOr<RunConfig> ConfigOf(const StepFlags& flags, Device device) {
  std::vector<std::string> settings = flags.settings;
  if (flags.micro_batch > 0) settings.push_back("training.micro_batch=" + std::to_string(flags.micro_batch));
  if (flags.sequence_length > 0) settings.push_back("data.sequence_length=" + std::to_string(flags.sequence_length));
  settings.push_back("training.tokens_per_step=0");  // a step of this bench is its --micro-batches
  INGOT_ASSIGN_OR_RETURN(RunConfig config, LoadConfig(flags.config, settings, /*needs_data=*/false, device));
  constexpr int64_t kVocabulary = 1024;  // of presets that leave it to the dataset
  if (config.model().vocabulary() == 0) config.mutable_model()->set_vocabulary(kVocabulary);
  return config;
}

// Of TrainingFlopsPerToken(): those of products whose operands have 8 bits.
double EightBitFlopsPerToken(const ModelDims& dims, const Fp8Use& use) {
  const int64_t attended = dims.H * dims.D, gates = dims.architecture == Architecture::kLlama ? 2 : 1;
  const int64_t block = dims.C * (2 * attended + 2 * dims.K * dims.D + (gates + 1) * dims.F);
  return 6.0 * static_cast<double>((use.blocks ? dims.L * block : 0) + (use.head ? dims.V * dims.C : 0));
}

// How the products were computed, and the share of what the GPU's maker states (LLMQ's "speed of light"), at twice the
// rate for `eight_bit_flops` a token.
void AddGpuFigures(const std::string& gpu, double eight_bit_flops, nlohmann::ordered_json& figures) {
  figures["products"] = cuda::GemmLibrary();
  const double peak = SpecPeakFlops(gpu);
  if (peak == 0) return;
  const double flops = figures["flops_per_token"].get<double>() - eight_bit_flops / 2;
  figures["share_of_speed_of_light"] = figures["tokens_per_second"].get<double>() * flops / peak;
}

absl::StatusOr<nlohmann::ordered_json> Measure(const StepFlags& flags) {
  const Device device = DeviceOf(flags.device);
  INGOT_ASSIGN_OR_RETURN(const RunConfig config, ConfigOf(flags, device));
  const ModelDims dims = DimsOf(config);
  const RunShape shape = ShapeOf(config, device);
  const int64_t before = ResidentBytes();
  INGOT_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, Model::Create(dims, shape));
  INGOT_RETURN_IF_ERROR(model->Initialize(config.training().seed()));
  INGOT_ASSIGN_OR_RETURN(Optimizer optimizer,
                         Optimizer::Create(*model, AdamWSettingsOf(config), Interval{0, model->table().flat_size}));
  TokenBatch batch = RandomBatch(dims, shape);
  const float z_loss = config.model().z_loss();
  std::vector<double> seconds;
  for (int64_t i = 0; i <= flags.repeat; ++i) {
    INGOT_ASSIGN_OR_RETURN(const double taken,
                           SecondsOfStep(*model, optimizer, batch, flags.micro_batches, z_loss, i + 1));
    if (i > 0) seconds.push_back(taken);  // the first step warms caches and threads
  }
  std::sort(seconds.begin(), seconds.end());
  const int64_t peak_bytes = PeakResidentBytes();
  INGOT_ASSIGN_OR_RETURN(const double peak, MatmulPeak(device, shape.dtype));
  const double rate = static_cast<double>(shape.B * shape.T * flags.micro_batches) / seconds[seconds.size() / 2];
  nlohmann::ordered_json figures = {
      {"parameters", model->table().parameters},
      {"micro_batch", shape.B},
      {"sequence_length", shape.T},
      {"tokens_per_step", shape.B * shape.T * flags.micro_batches},
      {"repeat", flags.repeat},
      {"median_seconds", seconds[seconds.size() / 2]},
      {"best_seconds", seconds.front()},
      {"tokens_per_second", rate},
      {"flops_per_token", TrainingFlopsPerToken(dims, shape.T)},
      {"matmul_peak_flops", peak},
      {"share_of_peak", rate * TrainingFlopsPerToken(dims, shape.T) / peak},
      {"planned_bytes", before + Model::Plan(dims, shape).total() + Optimizer::Bytes(optimizer.part())},
      {"peak_bytes", peak_bytes},
      {"device", model->backend()->name()},
      {"blas", BlasName()}};
  if (device == Device::kCuda && !cuda::IsEmulated()) {
    AddGpuFigures(model->backend()->name(), EightBitFlopsPerToken(dims, shape.fp8), figures);
  }
  return figures;
}

absl::Status BenchStep(const StepFlags& flags) {
  INGOT_ASSIGN_OR_RETURN(const nlohmann::ordered_json figures, Measure(flags));
  if (flags.json) {
    std::printf("%s\n", figures.dump(2).c_str());
    return absl::OkStatus();
  }
  for (const auto& [name, value] : figures.items()) std::printf("%-20s %s\n", name.c_str(), value.dump().c_str());
  return absl::OkStatus();
}

}  // namespace

void AddBenchStep(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand("step", "Whole training steps on random tokens");
  auto flags = std::make_shared<StepFlags>();
  command
      ->add_option("--config,--preset", flags->config, "RunConfig in text format, such as configs/gpt2_124m.textproto")
      ->required();
  command->add_option("--set", flags->settings, "path.to.field=value; may be repeated")
      ->take_all()
      ->allow_extra_args(false);
  command->add_option("--micro-batch", flags->micro_batch, "Sequences of a step; default: the configuration's")
      ->check(CLI::PositiveNumber);
  command->add_option("--sequence-length", flags->sequence_length, "Tokens of a sequence; default: the configuration's")
      ->check(CLI::PositiveNumber);
  command->add_option("--micro-batches", flags->micro_batches, "Micro-batches whose gradients a step adds up")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  AddDeviceOption(*command, flags->device);
  command->add_option("--repeat", flags->repeat, "Steps measured; the median counts")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "Print one JSON object");
  command->callback([flags] { RunCommand([&] { return BenchStep(*flags); }); });
}

}  // namespace ingot
