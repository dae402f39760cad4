#include "data_pipeline/split_writer.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace ingot {

absl::Status SplitWriter::OpenShard() {
  const std::string name =
      absl::StrFormat("%s-%05d.shard", Name(options_.split), options_.first_shard + entry_.shards.size());
  entry_.shards.push_back({.file = {.name = name}});
  INGOT_ASSIGN_OR_RETURN(
      shard_, ShardWriter::Create(JoinPath(options_.directory, name), options_.vocabulary, options_.end_of_text));
  return absl::OkStatus();
}

absl::Status SplitWriter::CloseShard() {
  INGOT_RETURN_IF_ERROR(shard_->Close());
  ShardEntry& entry = entry_.shards.back();
  entry.file.bytes = static_cast<int64_t>(shard_->file_bytes());
  entry.file.crc32c = shard_->file_crc();
  entry.tokens = shard_->info().tokens;
  entry.documents = shard_->info().documents;
  shard_.reset();
  return absl::OkStatus();
}

absl::Status SplitWriter::Append(std::span<const int32_t> ids) {
  while (!ids.empty()) {
    // A full shard stays open until a token comes: the end of a document belongs to the shard of its last token.
    if (shard_ && shard_->info().tokens == options_.shard_tokens) INGOT_RETURN_IF_ERROR(CloseShard());
    if (!shard_) INGOT_RETURN_IF_ERROR(OpenShard());
    const auto room = static_cast<size_t>(options_.shard_tokens - shard_->info().tokens);
    const size_t count = std::min(room, ids.size());
    INGOT_RETURN_IF_ERROR(shard_->Append(ids.first(count)));
    entry_.tokens += static_cast<int64_t>(count);
    ids = ids.subspan(count);
  }
  return absl::OkStatus();
}

absl::Status SplitWriter::EndDocument() {
  INGOT_RETURN_IF_ERROR(Append({&options_.end_of_text, 1}));
  shard_->EndDocument();
  ++entry_.documents;
  return absl::OkStatus();
}

absl::Status SplitWriter::Finish() { return shard_ ? CloseShard() : absl::OkStatus(); }

}  // namespace ingot
