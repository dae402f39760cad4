#pragma once
// SplitWriter: a stream of tokens into shards of bounded size. Internal to the builder.
#include <optional>

#include "data_pipeline/shard.h"
#include "data_pipeline/token_sink.h"

namespace ingot {

class SplitWriter : public TokenSink {
 public:
  explicit SplitWriter(SinkOptions options) : options_(std::move(options)) {}

  absl::Status Append(std::span<const int32_t> ids) override;
  absl::Status EndDocument() override;
  absl::Status Finish() override;

 private:
  absl::Status OpenShard();
  absl::Status CloseShard();

  SinkOptions options_;
  std::optional<ShardWriter> shard_;
};

}  // namespace ingot
