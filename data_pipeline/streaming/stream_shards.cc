#include "data_pipeline/streaming/stream_shards.h"

#include <algorithm>
#include <unordered_set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr int64_t kMostShardTokens = int64_t{1} << 26;
constexpr int64_t kGrowth = 16;

}  // namespace

SplitWriter& StreamShards::Writer(Split split) {
  auto& writer = writers_[static_cast<size_t>(split)];
  if (writer == nullptr) {
    writer = std::make_unique<SplitWriter>(SinkOptions{.directory = directory_,
                                                       .split = split,
                                                       .vocabulary = manifest_.vocabulary,
                                                       .end_of_text = manifest_.end_of_text,
                                                       .shard_tokens = INT64_MAX,
                                                       .first_shard = manifest_.split(split).shards.size()});
  }
  return *writer;
}

bool StreamShards::IsFull() const {
  const auto& writer = writers_[static_cast<size_t>(Split::kTraining)];
  const int64_t size = std::max(manifest_.stream->shard_tokens, committed(Split::kTraining) / kGrowth);
  return writer != nullptr && writer->entry().tokens >= std::min(size, kMostShardTokens);
}

void StreamShards::BeginFile(const RawBatch& batch) {
  for (const std::string& path : batch.new_files) {
    manifest_.sources.push_back({.path = path});
    manifest_.stream->files.emplace_back();
  }
  manifest_.counts.files = static_cast<int64_t>(manifest_.sources.size());
  manifest_.counts.ignored_files = batch.ignored_files;
  StreamFile& file = manifest_.stream->files[batch.file];
  file.bytes = batch.as_begun.bytes;
  file.modified_nanoseconds = batch.as_begun.modified_nanoseconds;
}

// What is left out is counted when a file is done: a file that is begun again is read from its first byte on.
void StreamShards::EndFile(const RawBatch& batch) {
  manifest_.stream->files[batch.file].done = true;
  DocumentCounts& counts = manifest_.counts;
  counts.empty_documents += batch.counts.empty_documents;
  counts.bad_lines += batch.counts.bad_lines;
  counts.invalid_utf8_documents += batch.counts.invalid_utf8_documents;
  counts.curation.column_documents += batch.counts.curation.column_documents;
  counts.curation.short_documents += batch.counts.curation.short_documents;
  counts.curation.long_documents += batch.counts.curation.long_documents;
}

absl::Status StreamShards::Take(const DocumentPiece& piece, std::span<const int32_t> ids, int64_t bytes) {
  const int64_t documents = piece.ends_document ? 1 : 0;
  manifest_.sources[piece.source].Add(documents, static_cast<int64_t>(ids.size()) + documents, bytes);
  manifest_.counts.documents += documents;
  manifest_.counts.text_bytes += bytes;
  INGOT_RETURN_IF_ERROR(Writer(piece.split).Take(ids, bytes, piece.ends_document));
  return piece.ends_document && IsFull() ? Commit() : absl::OkStatus();
}

absl::Status StreamShards::Write(const RawBatch& batch) {
  BeginFile(batch);
  if (batch.ends_file) {
    EndFile(batch);
    return absl::OkStatus();
  }
  return ForEachPiece(batch.documents, [this](const DocumentPiece& piece, std::span<const int32_t> ids, int64_t bytes) {
    return Take(piece, ids, bytes);
  });
}

absl::Status StreamShards::Commit() {
  for (const Split split : kSplits) {
    auto& writer = writers_[static_cast<size_t>(split)];
    if (writer == nullptr) continue;
    INGOT_RETURN_IF_ERROR(writer->Finish());
    const SplitEntry& more = writer->entry();
    SplitEntry& entry = manifest_.split(split);
    entry.documents += more.documents;
    entry.tokens += more.tokens;
    entry.text_bytes += more.text_bytes;
    entry.shards.insert(entry.shards.end(), more.shards.begin(), more.shards.end());
    writer.reset();
  }
  INGOT_RETURN_IF_ERROR(SyncDirectory(directory_));
  return WriteManifest(manifest_, directory_);
}

absl::Status StreamShards::Finish() {
  manifest_.stream->complete = true;
  return Commit();
}

absl::Status RemoveUnfinished(const std::string& directory, const DatasetManifest& manifest) {
  std::unordered_set<std::string> named;
  for (const SplitEntry& split : manifest.splits) {
    for (const ShardEntry& shard : split.shards) named.insert(shard.file.name);
  }
  INGOT_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  for (const std::string& name : names) {
    const bool unfinished =
        absl::EndsWith(name, ".shard") || absl::StartsWith(name, absl::StrCat(kStreamManifest, "."));
    if (unfinished && !named.contains(name)) INGOT_RETURN_IF_ERROR(RemoveRecursively(JoinPath(directory, name)));
  }
  return absl::OkStatus();
}

}  // namespace ingot
