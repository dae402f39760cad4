#pragma once
// SplitWriter: a stream of tokens into shards of bounded size. Internal to the builder.
#include <optional>
#include <span>
#include <string>

#include "data_pipeline/dataset_manifest.h"
#include "data_pipeline/shard.h"

namespace ingot {

class SplitWriter {
 public:
  SplitWriter(std::string directory, Split split, int64_t vocabulary, int32_t end_of_text, int64_t shard_tokens);

  absl::Status Append(std::span<const int32_t> ids);
  // Appends end of text.
  absl::Status EndDocument();
  // Counts text whose ids were appended.
  void AddTextBytes(int64_t bytes) { entry_.text_bytes += bytes; }
  // Closes the last shard. Without any token there is no shard.
  absl::Status Finish();

  const SplitEntry& entry() const { return entry_; }

 private:
  absl::Status OpenShard();
  absl::Status CloseShard();

  std::string directory_;
  Split split_;
  int64_t vocabulary_;
  int32_t end_of_text_;
  int64_t shard_tokens_;
  std::optional<ShardWriter> shard_;
  SplitEntry entry_;
};

}  // namespace ingot
