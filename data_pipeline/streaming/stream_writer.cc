#include "data_pipeline/streaming/stream_writer.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "data_pipeline/hash.h"
#include "data_pipeline/ordered_pipeline.h"

namespace ingot {
namespace {

constexpr char kLock[] = ".lock";
constexpr char kTokenizer[] = "tokenizer";

// Everything that decides which tokens a text becomes.
std::string RulesOf(const StreamOptions& options, const DatasetManifest& manifest) {
  const DocumentOptions& documents = options.documents;
  return absl::StrFormat(
      "tokenizer %016x of %d ids, field %s, %s documents, bad lines %s, documents of %d to %d bytes where [%s], "
      "validation fraction %.17g",
      manifest.tokenizer_hash, manifest.vocabulary, documents.text_field,
      documents.blank_line_documents ? "blank-line" : "whole-file", documents.skip_bad_lines ? "skipped" : "refused",
      documents.curation.min_bytes, documents.curation.max_bytes, absl::StrJoin(documents.curation.where, ", "),
      options.validation_fraction);
}

// A directory of something else stays as it is.
absl::Status CheckUnused(const std::string& directory) {
  INGOT_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  for (const std::string& name : names) {
    // What a writer that was killed before its first manifest leaves.
    if (name == kLock || name == kTokenizer || absl::StartsWith(name, kStreamManifest)) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        directory, ": expected an empty directory or a cache of raw documents, found ", name, "; name another cache"));
  }
  return absl::OkStatus();
}

// `manifest` has the rules of this start.
absl::Status MakeCache(const std::string& directory, DatasetManifest& manifest) {
  INGOT_RETURN_IF_ERROR(CheckUnused(directory));
  INGOT_RETURN_IF_ERROR(WriteManifest(manifest, directory));
  return SyncDirectory(directory);
}

absl::StatusOr<DatasetManifest> TakeCache(const std::string& directory, const DatasetManifest& wanted) {
  INGOT_ASSIGN_OR_RETURN(DatasetManifest manifest, ReadManifest(directory));
  if (!manifest.stream || manifest.stream->rules != wanted.stream->rules) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory, ": expected a cache of raw documents made by the rules \"", wanted.stream->rules, "\", found \"",
        manifest.stream ? manifest.stream->rules : "a dataset", "\"; name another cache, or remove this one"));
  }
  INGOT_RETURN_IF_ERROR(CheckBegunFiles(manifest));
  INGOT_RETURN_IF_ERROR(RemoveUnfinished(directory, manifest));
  INGOT_RETURN_IF_ERROR(RemoveRecursively(JoinPath(directory, kStreamFailure)));
  return manifest;
}

// The manifest of the cache as it is now.
absl::StatusOr<DatasetManifest> OpenCache(const StreamOptions& options, const TextEncoder& encoder) {
  const bool exists = FileExists(JoinPath(options.cache, kStreamManifest));
  if (!exists) INGOT_RETURN_IF_ERROR(CheckUnused(options.cache));
  DatasetManifest manifest;
  manifest.vocabulary = encoder.vocabulary;
  manifest.end_of_text = encoder.end_of_text;
  manifest.options = options.documents;
  manifest.validation_fraction = options.validation_fraction;
  INGOT_ASSIGN_OR_RETURN(const std::string tokenizer, ReadFile(JoinPath(encoder.directory, "tokenizer.json")));
  manifest.tokenizer_hash = HashBytes(tokenizer);
  manifest.stream.emplace();
  manifest.stream->rules = RulesOf(options, manifest);
  manifest.stream->shard_tokens = options.shard_tokens;
  if (exists) return TakeCache(options.cache, manifest);
  INGOT_RETURN_IF_ERROR(CopyTokenizer(encoder.directory, options.cache, manifest));
  INGOT_RETURN_IF_ERROR(MakeCache(options.cache, manifest));
  return manifest;
}

absl::Status CheckOptions(const StreamOptions& options) {
  INGOT_CHECK(options.shard_tokens > 0 && options.read_ahead >= 0, "shards of %lld tokens",
              static_cast<long long>(options.shard_tokens));
  const CurationOptions& curation = options.documents.curation;
  if (curation.deduplicate == Deduplication::kNone && curation.decontaminate.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "raw documents are not deduplicated or decontaminated while training; use 'ingot data build'");
}

}  // namespace

absl::StatusOr<std::unique_ptr<StreamWriter>> StreamWriter::Start(const StreamOptions& options,
                                                                  const TextEncoder& encoder) {
  INGOT_RETURN_IF_ERROR(CheckOptions(options));
  INGOT_RETURN_IF_ERROR(CreateDirectories(options.cache));
  INGOT_ASSIGN_OR_RETURN(
      FileLock lock,
      FileLock::Take(JoinPath(options.cache, kLock), absl::StrCat(options.cache,
                                                                  ": another process makes tokens in this cache; wait "
                                                                  "for it to end, or name another cache")));
  INGOT_ASSIGN_OR_RETURN(const DatasetManifest manifest, OpenCache(options, encoder));
  return std::unique_ptr<StreamWriter>(new StreamWriter(options, encoder, std::move(lock), manifest));
}

StreamWriter::StreamWriter(const StreamOptions& options, const TextEncoder& encoder, FileLock lock,
                           const DatasetManifest& manifest)
    : options_(options),
      encoder_(encoder),
      lock_(std::move(lock)),
      documents_({.names = options.inputs,
                  .documents = options.documents,
                  .split = {.validation_fraction = options.validation_fraction},
                  .batch_bytes = options.batch_bytes,
                  .may_cut_documents = encoder.may_cut_text},
                 manifest),
      shards_(options.cache, manifest) {
  for (const Split split : kSplits) committed_[static_cast<size_t>(split)] = shards_.committed(split);
  if (!manifest.stream->complete) thread_ = std::thread([this] { Run(); });
}

StreamWriter::~StreamWriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void StreamWriter::Want(Split split, int64_t tokens) {
  const std::lock_guard lock(mutex_);
  int64_t& wanted = wanted_[static_cast<size_t>(split)];
  wanted = std::max(wanted, tokens);
  changed_.notify_all();
}

absl::Status StreamWriter::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

// False when the writer is to stop.
bool StreamWriter::WaitUntilWanted() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] {
    const auto [training, validation] = committed_;
    return stop_ || training - options_.read_ahead < wanted_[0] || validation < wanted_[1];
  });
  return !stop_;
}

absl::Status StreamWriter::Write(const RawBatch& batch) {
  INGOT_RETURN_IF_ERROR(shards_.Write(batch));
  const std::lock_guard lock(mutex_);
  for (const Split split : kSplits) committed_[static_cast<size_t>(split)] = shards_.committed(split);
  return absl::OkStatus();
}

absl::Status StreamWriter::TokenizeAll() {
  std::vector<TextEncoder::Encode> encoders;
  for (int i = 0; i < options_.threads; ++i) encoders.push_back(encoder_.make());
  bool over = false;
  OrderedPipeline<RawBatch> pipeline(
      options_.threads,
      [&](RawBatch& batch) -> absl::StatusOr<bool> {
        if (!WaitUntilWanted()) return false;
        INGOT_ASSIGN_OR_RETURN(const bool found, documents_.Next(batch));
        over = !found;
        return found;
      },
      [&](int worker, RawBatch& batch) { EncodePieces(encoders[static_cast<size_t>(worker)], batch.documents); },
      [&](const RawBatch& batch) { return Write(batch); });
  INGOT_RETURN_IF_ERROR(pipeline.Run());
  return over ? shards_.Finish() : absl::OkStatus();
}

void StreamWriter::Run() {
  absl::Status status = TokenizeAll();
  if (status.ok()) return;
  // For the other ranks. Where nothing can be written this one still has the status.
  WriteFileAtomically(JoinPath(options_.cache, kStreamFailure), status.message()).IgnoreError();
  const std::lock_guard lock(mutex_);
  status_ = std::move(status);
}

}  // namespace ingot
