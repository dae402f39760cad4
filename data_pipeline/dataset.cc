#include "data_pipeline/dataset.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/base/threads.h"
#include "data_pipeline/dataset_state.h"
#include "data_pipeline/streaming/growing_stream.h"

namespace ingot {

absl::Status CheckShard(const Shard& shard, const ShardEntry& entry, const DatasetManifest& manifest) {
  const ShardInfo& info = shard.info();
  const bool same = info.tokens == entry.tokens && info.documents == entry.documents &&
                    info.vocabulary == manifest.vocabulary && info.end_of_text == manifest.end_of_text &&
                    static_cast<int64_t>(shard.bytes().size()) == entry.file.bytes;
  if (same) return absl::OkStatus();
  const char* const name = manifest.stream ? kStreamManifest : "dataset.json";
  return absl::DataLossError(absl::StrCat(
      shard.path(), ": ", info.tokens, " tokens, ", info.documents, " documents, vocabulary ", info.vocabulary,
      ", not as ", name, " says (", entry.tokens, ", ", entry.documents, ", ", manifest.vocabulary, "); ",
      manifest.stream ? "remove the directory to tokenize again" : "build the dataset again with 'ingot data build'"));
}

namespace {

// Datasets up to this size have their checksums compared when opened: it takes a fraction of a second.
constexpr int64_t kCheckedWhenOpened = int64_t{1} << 30;

absl::Status OpenSplit(const DatasetManifest& manifest, Split split, const std::string& directory,
                       TokenStream& stream) {
  const SplitEntry& entry = manifest.split(split);
  int64_t documents = 0;
  for (const ShardEntry& shard_entry : entry.shards) {
    INGOT_ASSIGN_OR_RETURN(Shard shard, Shard::Open(JoinPath(directory, shard_entry.file.name)));
    INGOT_RETURN_IF_ERROR(CheckShard(shard, shard_entry, manifest));
    documents += shard.info().documents;
    stream.Add(std::move(shard));
  }
  if (stream.tokens() == entry.tokens && documents == entry.documents) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(directory, "/dataset.json: ", Name(split), " has ", entry.tokens,
                                          " tokens; its shards have ", stream.tokens()));
}

absl::Status CompareChecksums(const DatasetState& state) {
  std::vector<const Shard*> shards;
  int64_t bytes = 0;
  for (const TokenStream& stream : state.streams) {
    for (const Shard& shard : stream.shards()) {
      shards.push_back(&shard);
      bytes += static_cast<int64_t>(shard.bytes().size());
    }
  }
  if (bytes > kCheckedWhenOpened) return absl::OkStatus();
  std::vector<absl::Status> results(shards.size());
  ParallelFor(static_cast<int64_t>(shards.size()), 0,
              [&](int64_t i) { results[static_cast<size_t>(i)] = shards[static_cast<size_t>(i)]->VerifyChecksums(); });
  for (const absl::Status& result : results) INGOT_RETURN_IF_ERROR(result);
  return absl::OkStatus();
}

}  // namespace

const TokenStream& DatasetState::stream(Split split) const {
  if (growing != nullptr && split == Split::kTraining) return growing->stream();
  return streams[static_cast<size_t>(split)];
}

void TokenStream::Add(Shard shard) {
  first_tokens_.push_back(first_tokens_.back() + shard.info().tokens);
  shards_.push_back(std::move(shard));
}

size_t TokenStream::ShardOf(int64_t position) const {
  const auto after = std::upper_bound(first_tokens_.begin(), first_tokens_.end(), position);
  return static_cast<size_t>(after - first_tokens_.begin()) - 1;
}

void TokenStream::Copy(int64_t first, int64_t count, int32_t* ids) const {
  INGOT_CHECK(first >= 0 && count >= 0 && count <= tokens() - first, "tokens %lld + %lld of %lld",
              static_cast<long long>(first), static_cast<long long>(count), static_cast<long long>(tokens()));
  for (size_t s = ShardOf(first); count > 0; ++s) {
    const int64_t part = std::min(count, first_tokens_[s + 1] - first);
    shards_[s].Copy(first - first_tokens_[s], part, ids);
    first += part;
    count -= part;
    ids += part;
  }
}

TokenStream::Ends::Ends(const TokenStream& stream, int64_t position) : stream_(stream) {
  shard_ = std::min(stream.ShardOf(position), stream.shards_.size());
  if (done()) return;
  const auto ends = stream.shards_[shard_].ends();
  const auto local = static_cast<uint64_t>(position - stream.first_tokens_[shard_]);
  index_ = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), local) - ends.begin());
  SkipFinishedShards();
}

void TokenStream::Ends::SkipFinishedShards() {
  while (!done() && index_ == stream_.shards_[shard_].ends().size()) {
    ++shard_;
    index_ = 0;
  }
}

int64_t TokenStream::Ends::value() const {
  return stream_.first_tokens_[shard_] + static_cast<int64_t>(stream_.shards_[shard_].ends()[index_]);
}

void TokenStream::Ends::Next() {
  ++index_;
  SkipFinishedShards();
}

absl::StatusOr<Dataset> Dataset::Open(const std::string& directory) {
  auto state = std::make_shared<DatasetState>();
  state->directory = directory;
  INGOT_ASSIGN_OR_RETURN(state->manifest, ReadManifest(directory));
  state->fingerprint = FingerprintOf(state->manifest);
  for (const Split split : kSplits) {
    INGOT_RETURN_IF_ERROR(OpenSplit(state->manifest, split, directory, state->streams[static_cast<size_t>(split)]));
  }
  INGOT_RETURN_IF_ERROR(CompareChecksums(*state));
  return Dataset(std::move(state));
}

const std::string& Dataset::directory() const { return state_->directory; }
int64_t Dataset::tokens(Split split) const { return state_->manifest.split(split).tokens; }
int64_t Dataset::documents(Split split) const { return state_->manifest.split(split).documents; }
int64_t Dataset::text_bytes(Split split) const { return state_->manifest.split(split).text_bytes; }
int64_t Dataset::vocabulary() const { return state_->manifest.vocabulary; }
int32_t Dataset::end_of_text() const { return state_->manifest.end_of_text; }
std::string Dataset::tokenizer_directory() const { return JoinPath(state_->directory, "tokenizer"); }
uint64_t Dataset::fingerprint() const { return state_->fingerprint; }

}  // namespace ingot
