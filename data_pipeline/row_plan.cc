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

// Rows of a source of which it is not known yet how many there are: more than any index.
constexpr int64_t kManyRows = int64_t{1} << 60;

absl::Status CheckLength(const std::string& directory, Split split, int64_t tokens, int64_t T) {
  if (tokens >= T + 1) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      directory, ": the ", Name(split), " split has ", tokens, " tokens; sequences of T = ", T,
      " need at least T + 1 = ", T + 1, ": use more text, a shorter sequence_length, or another validation fraction"));
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
  Source source;
  source.directory = dataset.directory();
  if (plan.split == Split::kTraining) source.growing = dataset.state().growing;
  grows_ |= source.growing != nullptr;
  if (source.growing != nullptr && !(plan.shuffle && plan.shuffle_tokens > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat(dataset.directory(),
                     ": raw documents are read in an order drawn inside blocks: expected shuffle_tokens above 0"));
  }
  if (needed && source.growing == nullptr) {
    INGOT_RETURN_IF_ERROR(CheckLength(dataset.directory(), plan.split, dataset.tokens(plan.split), plan.T));
  }
  const TokenStream& stream = dataset.state().stream(plan.split);
  OrderPlan order = {.seed = seed, .shuffle = plan.shuffle};
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
  const int64_t rows = source.growing != nullptr ? 0 : std::max<int64_t>(0, source.sequences->count());
  first_rows_.push_back(first_rows_.back() + rows);
  source.block = order.block;
  source.order = std::make_unique<EpochOrder>(order);
  sources_.push_back(std::move(source));
  return absl::OkStatus();
}

absl::StatusOr<RowPlan> RowPlan::Create(const std::vector<Dataset>& sources, const LoaderPlan& plan) {
  INGOT_CHECK(!sources.empty(), "no source");
  INGOT_RETURN_IF_ERROR(CheckTokenizers(sources));
  const bool several = sources.size() > 1;
  RowPlan made;
  made.T_ = plan.T;
  for (size_t i = 0; i < sources.size(); ++i) {
    const uint64_t seed = several ? CombineHash(plan.seed, i + 1) : plan.seed;
    const bool needed = !several || (plan.shuffle && HasWeight(plan, i));
    INGOT_RETURN_IF_ERROR(made.AddSource(sources[i], plan, seed, needed));
  }
  if (made.rows() == 0 && !made.grows_) {
    return CheckLength(sources[0].directory(), plan.split, sources[0].tokens(plan.split), plan.T);
  }
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
  const GrowingStream* growing = sources_[source].growing.get();
  const int64_t rows = growing != nullptr && !growing->complete() ? kManyRows : sequences.count();
  const EpochOrder::Place place = sources_[source].order->At(item, rows);
  return {.sequences = &sequences, .source = source, .row = place.row, .epoch = place.epoch};
}

Mixture::Place RowPlan::PlaceOf(int64_t sequence) const {
  return mixture_ ? mixture_->At(sequence) : Mixture::Place{.source = 0, .item = sequence};
}

// With all tokens of a full block and the one behind it the block's rows are those of the whole stream, whatever comes
// later; a block that is not full is known when nothing comes any more.
absl::Status RowPlan::Await(int64_t sequence) const {
  if (!grows_) return absl::OkStatus();
  const Mixture::Place place = PlaceOf(sequence);
  const Source& source = sources_[place.source];
  if (source.growing == nullptr) return absl::OkStatus();
  INGOT_RETURN_IF_ERROR(source.growing->Require((place.item / source.block + 1) * source.block * T_ + 1));
  if (!source.growing->complete()) return absl::OkStatus();
  return CheckLength(source.directory, Split::kTraining, source.growing->stream().tokens(), T_);
}

void RowPlan::Interrupt(bool on) const {
  for (const Source& source : sources_) {
    if (source.growing != nullptr) source.growing->Interrupt(on);
  }
}

int64_t RowPlan::grown() const {
  int64_t tokens = 0;
  for (const Source& source : sources_) tokens += source.growing != nullptr ? source.growing->tokens() : 0;
  return tokens;
}

RowPlan::Row RowPlan::At(int64_t sequence) const {
  if (spread_ == nullptr) {
    const Mixture::Place place = PlaceOf(sequence);
    return RowOf(place.source, place.item);
  }
  const EpochOrder::Place place = spread_->At(sequence % rows(), rows());
  const auto after = std::upper_bound(first_rows_.begin(), first_rows_.end(), place.row);
  const auto source = static_cast<size_t>(after - first_rows_.begin()) - 1;
  return RowOf(source, place.row - first_rows_[source]);
}

std::vector<Loader::Share> RowPlan::Shares(int64_t sequences) const {
  std::vector<Loader::Share> shares;
  const int64_t whole = mixture_ ? sequences / kMixtureBlock * kMixtureBlock : sequences;
  for (size_t i = 0; i < sources_.size(); ++i) {
    const int64_t rows = first_rows_[i + 1] - first_rows_[i];
    const double part = this->rows() > 0 ? static_cast<double>(rows) / static_cast<double>(this->rows()) : 1;
    const auto spread = static_cast<int64_t>(static_cast<double>(sequences) * part);
    shares.push_back({.sequences = mixture_ ? mixture_->CountBefore(i, whole) : spread, .rows = rows});
  }
  for (int64_t g = whole; g < sequences; ++g) ++shares[mixture_->At(g).source].sequences;
  return shares;
}

}  // namespace ingot
