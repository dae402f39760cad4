#pragma once
// StreamShards: tokens into shards that are readable one after the other while more come.
//   A shard of training tokens ends at the end of the first document with which it has S(t) = max(s, t / 16), at most
//   2^26 tokens, t those in the shards before: early ones are there soon, and there are never very many. What validates
//   of the same documents makes a shard beside it. Then both are on the disk and the manifest is replaced, which names
//   them and how far each file has been read. Where shards end depends on nothing else.
#include <memory>

#include "absl/status/status.h"
#include "data_pipeline/dataset_manifest.h"
#include "data_pipeline/split_writer.h"
#include "data_pipeline/streaming/raw_documents.h"

namespace ingot {

class StreamShards {
 public:
  // Goes on from `manifest`, which is that of `directory`.
  StreamShards(std::string directory, DatasetManifest manifest)
      : directory_(std::move(directory)), manifest_(std::move(manifest)) {}

  absl::Status Write(const RawBatch& batch);
  // The input is over.
  absl::Status Finish();

  // Tokens in shards that the manifest on disk names.
  int64_t committed(Split split) const { return manifest_.split(split).tokens; }

 private:
  SplitWriter& Writer(Split split);
  absl::Status Take(const DocumentPiece& piece, std::span<const int32_t> ids, int64_t bytes);
  void BeginFile(const RawBatch& batch);
  void EndFile(const RawBatch& batch);
  bool IsFull() const;
  absl::Status Commit();

  const std::string directory_;
  DatasetManifest manifest_;                             // at the end of a document: what the one on disk is to become
  std::array<std::unique_ptr<SplitWriter>, 2> writers_;  // of the shards that are open, by Split
};

// Removes what a writer that was killed has left beside the shards that `manifest` names.
absl::Status RemoveUnfinished(const std::string& directory, const DatasetManifest& manifest);

}  // namespace ingot
