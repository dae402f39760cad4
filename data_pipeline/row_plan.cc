#include "data_pipeline/row_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "data_pipeline/best_fit.h"
#include "data_pipeline/dataset_state.h"
#include "data_pipeline/hash.h"

namespace ingot {
namespace {

// Packed windows whose rows are mixed with each other: 2^28 tokens.
constexpr int64_t kMixedWindows = 16;

absl::Status CheckLength(const Dataset& dataset, const LoaderPlan& plan) {
  const int64_t tokens = dataset.tokens(plan.split);
  if (tokens >= plan.T + 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(dataset.directory(), ": the ", Name(plan.split), " split has ", tokens,
                   " tokens; sequences of T = ", plan.T, " need at least T + 1 = ", plan.T + 1,
                   ": use more text, a shorter sequence_length, or another ", "--validation-fraction"));
}

absl::Status CheckTokenizers(const std::vector<Dataset>& sources) {
  const DatasetManifest& first = sources[0].state().manifest;
  for (const Dataset& source : sources) {
    const DatasetManifest& manifest = source.state().manifest;
    const bool same = manifest.tokenizer_hash == first.tokenizer_hash && manifest.vocabulary == first.vocabulary;
    if (same) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        source.directory(), ": expected the tokenizer of ", sources[0].directory(),
        ", found another: ids of different vocabularies do not mix; build it again with 'ingot data build --tokenizer ",
        sources[0].tokenizer_directory(), "'"));
  }
  return absl::OkStatus();
}

// Whether a stage draws from `source`.
bool HasWeight(const LoaderPlan& plan, size_t source) {
  if (plan.stages.empty()) return true;
  return std::any_of(plan.stages.begin(), plan.stages.end(), [&](const MixtureStage& stage) {
    return source < stage.weights.size() && stage.weights[source] > 0;
  });
}

}  // namespace

absl::Status RowPlan::AddSource(const Dataset& dataset, const LoaderPlan& plan, uint64_t seed, bool needed) {
  if (needed) INGOT_RETURN_IF_ERROR(CheckLength(dataset, plan));
  const TokenStream& stream = dataset.state().stream(plan.split);
  OrderPlan order = {.seed = seed, .shuffle = plan.shuffle};
  Source source;
  if (plan.packing == Packing::kBestFit) {
    const int64_t rows = PackedRows(plan.T);
    const int64_t windows =
        plan.shuffle_tokens > 0 ? std::max<int64_t>(1, plan.shuffle_tokens / (rows * plan.T)) : kMixedWindows;
    order.block = windows * rows;
    order.shuffle_blocks = plan.shuffle_tokens == 0;
    source.sequences = MakePackedRows(stream, plan.T, windows + 1);
  } else {
    if (plan.shuffle_tokens > 0) order.block = std::max<int64_t>(1, plan.shuffle_tokens / plan.T);
    source.sequences = MakeWindows(stream, plan.T);
  }
  first_rows_.push_back(first_rows_.back() + std::max<int64_t>(0, source.sequences->count()));
  source.order = std::make_unique<EpochOrder>(order);
  sources_.push_back(std::move(source));
  return absl::OkStatus();
}

absl::StatusOr<RowPlan> RowPlan::Create(const std::vector<Dataset>& sources, const LoaderPlan& plan) {
  INGOT_CHECK(!sources.empty(), "no source");
  INGOT_RETURN_IF_ERROR(CheckTokenizers(sources));
  const bool several = sources.size() > 1;
  RowPlan made;
  for (size_t i = 0; i < sources.size(); ++i) {
    const uint64_t seed = several ? CombineHash(plan.seed, i + 1) : plan.seed;
    const bool needed = !several || (plan.shuffle && HasWeight(plan, i));
    INGOT_RETURN_IF_ERROR(made.AddSource(sources[i], plan, seed, needed));
  }
  if (made.rows() == 0) return CheckLength(sources[0], plan);
  if (several && plan.shuffle) {
    std::vector<MixtureStage> stages = plan.stages;
    if (stages.empty()) stages.push_back({0, std::vector<double>(sources.size(), 1.0)});
    INGOT_ASSIGN_OR_RETURN(made.mixture_, Mixture::Create(plan.seed, stages));
    if (made.mixture_->sources() != sources.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected ", sources.size(), " weights, one a source, found ", made.mixture_->sources()));
    }
  } else if (several) {
    made.spread_ = std::make_unique<EpochOrder>(OrderPlan{.seed = 0});
  }
  return made;
}

RowPlan::Row RowPlan::RowOf(size_t source, int64_t item) const {
  const Sequences& sequences = *sources_[source].sequences;
  const EpochOrder::Place place = sources_[source].order->At(item, sequences.count());
  return {.sequences = &sequences, .source = source, .row = place.row, .epoch = place.epoch};
}

RowPlan::Row RowPlan::At(int64_t sequence) const {
  if (mixture_) {
    const Mixture::Place place = mixture_->At(sequence);
    return RowOf(place.source, place.item);
  }
  if (spread_ == nullptr) return RowOf(0, sequence);
  const EpochOrder::Place place = spread_->At(sequence % rows(), rows());
  const auto after = std::upper_bound(first_rows_.begin(), first_rows_.end(), place.row);
  const auto source = static_cast<size_t>(after - first_rows_.begin()) - 1;
  return RowOf(source, place.row - first_rows_[source]);
}

std::vector<Loader::Share> RowPlan::Shares(int64_t sequences) const {
  std::vector<Loader::Share> shares;
  for (size_t i = 0; i < sources_.size(); ++i) {
    const int64_t rows = first_rows_[i + 1] - first_rows_[i];
    const int64_t spread = rows > 0 ? static_cast<int64_t>(static_cast<double>(sequences) * static_cast<double>(rows) /
                                                           static_cast<double>(this->rows()))
                                    : 0;
    shares.push_back({.sequences = mixture_ ? mixture_->CountBefore(i, sequences) : spread, .rows = rows});
  }
  return shares;
}

}  // namespace ingot
