// What values a RunConfig may hold. The ranges stand in the comments of configs/ingot.proto as well.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "core/model/fp8_problems.h"
#include "core/training/config.h"

namespace ingot {
namespace {

constexpr int64_t kMaxSteps = int64_t{1} << 40;

class Checker {
 public:
  void Whole(const char* field, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high) {
      problems.push_back(absl::StrCat(field, ": expected ", low, " to ", high, ", found ", value));
    }
  }
  // `open_low` and `open_high`: the end itself is not allowed.
  void Real(const char* field, double value, double low, bool open_low, double high, bool open_high) {
    const bool fits =
        std::isfinite(value) && (open_low ? value > low : value >= low) && (open_high ? value < high : value <= high);
    if (fits) return;
    problems.push_back(absl::StrCat(field, ": expected ", open_low ? "above " : "at least ", low, " and ",
                                    open_high ? "below " : "at most ", high, ", found ", value));
  }
  void Rule(bool holds, const std::string& problem) {
    if (!holds) problems.push_back(problem);
  }
  std::vector<std::string> problems;
};

void CheckModel(const RunConfig& config, Checker& check) {
  ModelDims dims = DimsOf(config);
  if (dims.V == 0) dims.V = 64;  // any vocabulary: the dataset's is not known yet
  const int64_t T = config.data().sequence_length();
  const bool length_fits = T >= 1 && T <= (int64_t{1} << 20);
  if (!length_fits) dims.T = 1;  // told as data.sequence_length
  for (std::string& problem : Problems(dims)) check.problems.push_back(std::move(problem));
  check.Whole("model.context", config.model().context(), 0, int64_t{1} << 24);
  check.Rule(!length_fits || dims.T >= T,
             absl::StrCat("model.context: expected at least data.sequence_length (", T, ") or 0, found ", dims.T));
  check.Real("model.z_loss", config.model().z_loss(), 0, false, 1, false);
}

void CheckFp8(const RunConfig& config, Checker& check) {
  int64_t tokens = 0;
  const bool fits = !__builtin_mul_overflow(config.training().micro_batch(), config.data().sequence_length(), &tokens);
  const Fp8Use use = {.blocks = true, .head = config.precision().fp8_head()};
  for (std::string& problem : Fp8Problems(DimsOf(config), fits ? tokens : 0, use)) {
    check.problems.push_back(std::move(problem));
  }
  check.Rule(
      config.parallel().zero() < 3,
      "parallel.zero: expected at most 2 with precision.compute fp8, whose weights are made once a step, found 3");
}

void CheckPrecision(const RunConfig& config, Device device, Checker& check) {
  const PrecisionConfig::Compute compute = config.precision().compute();
  const std::string found = absl::StrCat(", found ", PrecisionConfig::Compute_Name(compute));
  if (device == Device::kCpu) {
    check.Rule(compute == PrecisionConfig::fp32,
               absl::StrCat("precision.compute: expected fp32 (all the CPU computes in)", found));
    check.Rule(!config.training().cuda_graph(),
               "training.cuda_graph: expected false (there are no CUDA graphs on the CPU), found true");
  }
  if (compute == PrecisionConfig::fp8) CheckFp8(config, check);
  check.Rule(compute == PrecisionConfig::fp8 || !config.precision().fp8_head(),
             absl::StrCat("precision.fp8_head: expected precision.compute fp8 beside it", found));
}

void CheckTokens(const RunConfig& config, Checker& check) {
  const int64_t B = config.training().micro_batch(), T = config.data().sequence_length();
  const int64_t tokens = config.training().tokens_per_step();
  check.Whole("data.sequence_length", T, 1, int64_t{1} << 20);
  check.Whole("training.micro_batch", B, 1, 65536);
  check.Real("training.deadline_scale", config.training().deadline_scale(), 0, false, 1000, false);
  check.Whole("training.tokens_per_step", tokens, 0, int64_t{1} << 40);
  if (B < 1 || T < 1 || B > 65536 || T > (int64_t{1} << 20)) return;
  check.Rule(tokens % (B * T) == 0,
             absl::StrCat("training.tokens_per_step: expected a multiple of training.micro_batch * data.sequence_length"
                          " = ",
                          B * T, ", found ", tokens));
}

void CheckRaw(const std::string& place, const RawConfig& raw, Checker& check) {
  check.Rule(raw.input_size() > 0, place + ".input: expected files, directories or patterns, found nothing");
  check.Rule(!raw.tokenizer().empty(), place + ".tokenizer: expected a directory with tokenizer.json, found nothing");
  check.Real((place + ".validation_fraction").c_str(), raw.validation_fraction(), 0, false, 0.5, false);
  check.Whole((place + ".min_bytes").c_str(), raw.min_bytes(), 0, int64_t{1} << 40);
  check.Whole((place + ".max_bytes").c_str(), raw.max_bytes(), 0, int64_t{1} << 40);
  check.Whole((place + ".threads").c_str(), raw.threads(), 1, 1024);
}

void CheckSource(const std::string& place, const SourceConfig& source, Checker& check) {
  check.Rule(!source.path().empty() || source.has_raw(), place + ".path: expected a directory, found nothing");
  check.Rule(source.path().empty() || !source.has_raw(), place + ".path: expected nothing beside raw, found both");
  check.Real((place + ".weight").c_str(), source.weight(), 0, false, 1e300, false);
  check.Real((place + ".max_epochs").c_str(), source.max_epochs(), 0, false, 1e300, false);
  if (!source.has_raw()) return;
  CheckRaw(place + ".raw", source.raw(), check);
  check.Rule(source.max_epochs() == 0,
             place + ".max_epochs: expected 0 beside raw documents, of which nobody knows yet how many there are");
}

// Raw documents: what cannot be known before all of them have been read.
void CheckRawOrder(const RunConfig& config, Checker& check) {
  if (!HasRawDocuments(config.data())) return;
  check.Rule(config.data().shuffle_tokens() > 0,
             "data.shuffle_tokens: expected above 0 with raw documents: the order is drawn inside blocks, found 0");
  check.Rule(config.validation().tokens() > 0,
             "validation.tokens: expected above 0 with raw documents, found 0, the whole split");
}

void CheckData(const DataConfig& data, Checker& check) {
  check.Real("data.fim_rate", data.fim_rate(), 0, false, 1, false);
  check.Real("data.fim_spm_rate", data.fim_spm_rate(), 0, false, 1, false);
  check.Whole("data.shuffle_tokens", data.shuffle_tokens(), 0, int64_t{1} << 50);
  check.Rule(data.path().empty() || data.source().empty(),
             "data.path: expected nothing beside data.source, found both; name the dataset as a source");
  check.Rule(!data.has_raw() || (data.path().empty() && data.source().empty()),
             "data.raw: expected nothing beside data.path or data.source, found both; name the documents as a source");
  if (data.has_raw()) CheckRaw("data.raw", data.raw(), check);
  check.Rule(data.stage().empty() || !data.source().empty(), "data.stage: expected data.source, whose weights it sets");
  double sum = 0;
  for (int i = 0; i < data.source_size(); ++i) {
    const std::string place = absl::StrCat("data.source[", i, "]");
    CheckSource(place, data.source(i), check);
    sum += data.source(i).weight();
  }
  check.Rule(data.source().empty() || sum > 0, "data.source: expected a weight above 0");
  int64_t before = 0;
  for (int i = 0; i < data.stage_size(); ++i) {
    const StageConfig& stage = data.stage(i);
    const std::string place = absl::StrCat("data.stage[", i, "]");
    check.Rule(stage.from_tokens() > before,
               absl::StrCat(place, ".from_tokens: expected more than ", before, ", found ", stage.from_tokens()));
    check.Rule(stage.weight_size() == data.source_size(),
               absl::StrCat(place, ".weight: expected ", data.source_size(), " weights, one a source, found ",
                            stage.weight_size()));
    for (const double weight : stage.weight()) check.Real((place + ".weight").c_str(), weight, 0, false, 1e300, false);
    before = stage.from_tokens();
  }
}

void CheckOptimizer(const OptimizerConfig& optimizer, Checker& check) {
  constexpr double kInfinity = INFINITY;
  check.Real("optimizer.learning_rate", optimizer.learning_rate(), 0, true, kInfinity, false);
  check.Real("optimizer.beta1", optimizer.beta1(), 0, false, 1, true);
  check.Real("optimizer.beta2", optimizer.beta2(), 0, false, 1, true);
  check.Real("optimizer.eps", optimizer.eps(), 0, true, kInfinity, false);
  check.Real("optimizer.weight_decay", optimizer.weight_decay(), 0, false, 1, false);
  check.Real("optimizer.clip", optimizer.clip(), 0, false, kInfinity, false);
}

void CheckSchedule(const RunConfig& config, Checker& check) {
  const int64_t steps = config.training().steps();
  check.Whole("training.steps", steps, 1, kMaxSteps);
  const ScheduleConfig& schedule = config.schedule();
  const int64_t most = std::max<int64_t>(steps, 0);
  check.Whole("schedule.warmup_steps", schedule.warmup_steps(), 0, kMaxSteps);
  check.Whole("schedule.decay_steps", schedule.decay_steps(), 0, kMaxSteps);
  check.Rule(schedule.kind() != ScheduleConfig::wsd || schedule.decay_steps() <= most,
             absl::StrCat("schedule.decay_steps: expected at most training.steps = ", most, ", found ",
                          schedule.decay_steps()));
  check.Real("schedule.final_fraction", schedule.final_fraction(), 0, false, 1, false);
}

void CheckSpikes(const RunConfig& config, Checker& check) {
  const SpikeConfig& spikes = config.spikes();
  check.Real("spikes.loss_z", spikes.loss_z(), 0, true, INFINITY, false);
  check.Real("spikes.norm_factor", spikes.norm_factor(), 1, true, INFINITY, false);
  check.Whole("spikes.max_skips", spikes.max_skips(), 0, 1000);
  check.Whole("spikes.max_rollbacks", spikes.max_rollbacks(), 0, 1000);
  check.Whole("spikes.margin_steps", spikes.margin_steps(), 0, 1'000'000);
  check.Rule(spikes.policy() != SpikeConfig::rollback || config.checkpoint().every() > 0,
             "spikes.policy: expected checkpoint.every above 0 beside rollback, which goes back to such a checkpoint, "
             "found 0");
}

void CheckParallel(const ParallelConfig& parallel, Checker& check) {
  check.Whole("parallel.zero", parallel.zero(), 0, 3);
  check.Whole("parallel.lanes", parallel.lanes(), 1, 1024);
  check.Whole("parallel.compare_every", parallel.compare_every(), 0, kMaxSteps);
}

}  // namespace

std::vector<std::string> ConfigProblems(const RunConfig& config, Device device) {
  Checker check;
  CheckModel(config, check);
  CheckPrecision(config, device, check);
  CheckTokens(config, check);
  CheckData(config.data(), check);
  CheckRawOrder(config, check);
  CheckOptimizer(config.optimizer(), check);
  CheckSchedule(config, check);
  CheckSpikes(config, check);
  check.Whole("validation.every", config.validation().every(), 0, kMaxSteps);
  check.Whole("validation.tokens", config.validation().tokens(), 0, kMaxSteps);
  check.Whole("checkpoint.every", config.checkpoint().every(), 0, kMaxSteps);
  check.Whole("checkpoint.keep_last", config.checkpoint().keep_last(), 1, kMaxSteps);
  check.Whole("checkpoint.max_failures", config.checkpoint().max_failures(), 0, 1'000'000);
  check.Whole("checkpoint.keep_every", config.checkpoint().keep_every(), 0, kMaxSteps);
  check.Whole("checkpoint.shard_bytes", config.checkpoint().shard_bytes(), 1024, int64_t{1} << 50);
  CheckParallel(config.parallel(), check);
  return std::move(check.problems);
}

}  // namespace ingot
