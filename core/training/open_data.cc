#include "core/training/open_data.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "core/training/raw_sources.h"
#include "data_pipeline/hash.h"
#include "tokenizer/tokenizer.h"

namespace ingot {
namespace {

absl::StatusOr<FimPlan> FimPlanOf(const DataConfig& data, const Dataset& dataset) {
  FimPlan plan = {.rate = data.fim_rate(), .spm_rate = data.fim_spm_rate()};
  if (plan.rate == 0) return plan;
  INGOT_ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::Load(dataset.tokenizer_directory()));
  plan.prefix = tokenizer.SpecialToken("<|fim_prefix|>");
  plan.middle = tokenizer.SpecialToken("<|fim_middle|>");
  plan.suffix = tokenizer.SpecialToken("<|fim_suffix|>");
  if (plan.prefix >= 0 && plan.middle >= 0 && plan.suffix >= 0) return plan;
  return absl::InvalidArgumentError(
      absl::StrCat("data.fim_rate: expected a tokenizer with <|fim_prefix|>, <|fim_middle|> and <|fim_suffix|>, as "
                   "`ingot tokenizer train` makes, found none in ",
                   dataset.tokenizer_directory()));
}

std::vector<MixtureStage> StagesOf(const DataConfig& data) {
  std::vector<MixtureStage> stages;
  if (data.source_size() == 0) return stages;
  stages.emplace_back();
  for (const SourceConfig& source : data.source()) stages[0].weights.push_back(source.weight());
  for (const StageConfig& stage : data.stage()) {
    stages.push_back({.first_sequence = stage.from_tokens() / data.sequence_length(),
                      .weights = {stage.weight().begin(), stage.weight().end()}});
  }
  return stages;
}

int64_t SequencesOf(const RunConfig& config) {
  return config.training().steps() * (TokensPerStep(config) / config.data().sequence_length());
}

absl::Status CheckEpochs(const TrainingData& data, const RunConfig& config) {
  const std::vector<Loader::Share> shares = data.training->Shares(SequencesOf(config));
  for (int i = 0; i < config.data().source_size(); ++i) {
    const SourceConfig& source = config.data().source(i);
    const double epochs = shares[static_cast<size_t>(i)].epochs();
    if (source.max_epochs() == 0 || epochs <= source.max_epochs()) continue;
    return absl::InvalidArgumentError(absl::StrFormat(
        "data.source[%d].max_epochs: expected at most %g, found %.2f for %s over the run; lower its weight or "
        "training.steps, or add text",
        i, source.max_epochs(), epochs, source.path()));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Loader>> OpenTraining(const TrainingData& data, const RunConfig& config) {
  const DataConfig& fields = config.data();
  LoaderPlan plan = {.B = config.training().micro_batch(),
                     .T = fields.sequence_length(),
                     .seed = fields.shuffle_seed(),
                     .mask_documents = fields.mask_documents(),
                     .packing = fields.packing() == DataConfig::best_fit ? Packing::kBestFit : Packing::kConcatenate,
                     .shuffle_tokens = fields.shuffle_tokens(),
                     .stages = StagesOf(fields)};
  INGOT_ASSIGN_OR_RETURN(plan.fim, FimPlanOf(fields, data.first()));
  return Loader::Create(data.sources, plan);
}

// Null without enough tokens.
absl::StatusOr<std::unique_ptr<Loader>> OpenValidation(const TrainingData& data, const RunConfig& config) {
  std::vector<Dataset> sources;
  for (size_t i = 0; i < data.sources.size(); ++i) {
    const bool validates = config.data().source().empty() || config.data().source(static_cast<int>(i)).validates();
    const bool enough = data.sources[i].tokens(Split::kValidation) > config.data().sequence_length();
    if (validates && enough) sources.push_back(data.sources[i]);
  }
  if (sources.empty()) return nullptr;
  return Loader::Create(std::move(sources), {.split = Split::kValidation,
                                             .B = config.training().micro_batch(),
                                             .T = config.data().sequence_length(),
                                             .seed = config.data().shuffle_seed(),
                                             .shuffle = false,
                                             .mask_documents = config.data().mask_documents()});
}

}  // namespace

int64_t TrainingData::tokens(Split split) const {
  int64_t tokens = 0;
  for (const Dataset& source : sources) tokens += source.tokens(split);
  return tokens;
}

std::vector<StreamMark> TrainingData::Marks() const {
  std::vector<StreamMark> marks;
  for (const Dataset& source : sources) {
    if (source.state().growing != nullptr) marks.push_back(source.state().growing->mark());
  }
  return marks;
}

absl::Status TrainingData::Expect(const std::vector<StreamMark>& marks) const {
  size_t next = 0;
  for (const Dataset& source : sources) {
    if (source.state().growing == nullptr) continue;
    if (next == marks.size()) break;
    INGOT_RETURN_IF_ERROR(source.state().growing->Expect(marks[next++]));
  }
  return absl::OkStatus();
}

absl::StatusOr<TrainingData> OpenData(const RunConfig& config, const RawPlace& place) {
  TrainingData data;
  const std::vector<SourceConfig> sources = SourcesOf(config.data());
  if (HasRawDocuments(config.data())) {
    INGOT_ASSIGN_OR_RETURN(data.writers, StartWriters(config, place));
    INGOT_RETURN_IF_ERROR(place.opened());
  }
  for (size_t i = 0; i < sources.size(); ++i) {
    INGOT_ASSIGN_OR_RETURN(
        Dataset dataset, sources[i].has_raw() ? OpenRawSource(config, static_cast<int>(i), place, data.writers[i].get())
                                              : Dataset::Open(sources[i].path()));
    data.fingerprint =
        data.sources.empty() ? dataset.fingerprint() : CombineHash(Mix64(data.fingerprint), dataset.fingerprint());
    data.sources.push_back(std::move(dataset));
  }
  INGOT_ASSIGN_OR_RETURN(data.training, OpenTraining(data, config));
  INGOT_ASSIGN_OR_RETURN(data.validation, OpenValidation(data, config));
  INGOT_RETURN_IF_ERROR(CheckEpochs(data, config));
  return data;
}

std::string MixtureText(const TrainingData& data, const RunConfig& config) {
  std::string text;
  if (data.sources.size() < 2) return text;
  const int64_t total = SequencesOf(config);
  const std::vector<Loader::Share> shares = data.training->Shares(total);
  for (size_t i = 0; i < shares.size(); ++i) {
    absl::StrAppendFormat(&text, "%s: %.1f %% of the sequences, %s\n", data.sources[i].directory(),
                          100 * static_cast<double>(shares[i].sequences) / static_cast<double>(total),
                          shares[i].rows > 0 ? absl::StrFormat("%.2f epochs", shares[i].epochs()) : "raw documents");
  }
  return text;
}

}  // namespace ingot
