#pragma once
// GrowingStream: the training tokens of a cache while a StreamWriter, here or on another machine, adds to them.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "data_pipeline/dataset.h"
#include "data_pipeline/dataset_state.h"
#include "data_pipeline/streaming/stream_writer.h"

namespace ingot {

// The first `tokens` of a stream and a hash of them: what a checkpoint keeps of the documents it was trained on.
struct StreamMark {
  int64_t tokens = 0;
  uint64_t hash = 0;
  bool operator==(const StreamMark&) const = default;
};

class GrowingStream {
 public:
  struct Options {
    std::string cache;
    StreamWriter* writer = nullptr;  // where it is in this process; must outlive the stream
    std::chrono::duration<double> stall = std::chrono::minutes(10);  // without a new shard; 0: for ever
  };
  explicit GrowingStream(Options options) : options_(std::move(options)) {}

  // The shards found so far. Not while Require() runs.
  const TokenStream& stream() const { return stream_; }
  // No shard comes any more. Not while Require() runs.
  bool complete() const { return complete_; }

  // Waits until the stream has `tokens`, or is complete. Errors: the writer's, no new shard for too long, a shard that
  // is damaged, documents that are not those of Expect(), Interrupt(). One thread at a time.
  absl::Status Require(int64_t tokens);
  // Require() ends, now and later, until `on` is false. Thread-safe.
  void Interrupt(bool on) { interrupted_ = on; }
  // Tokens found so far, for signs of life. Thread-safe.
  int64_t tokens() const { return tokens_; }

  // All shards found so far. Thread-safe.
  StreamMark mark() const;
  // The stream must begin as it did when mark() gave this. The error is given here or by Require(). Thread-safe.
  absl::Status Expect(const StreamMark& mark);

 private:
  absl::Status Look();
  absl::Status Add(const DatasetManifest& manifest);
  absl::Status CheckMark() const;

  const Options options_;
  TokenStream stream_;
  bool complete_ = false;
  std::string seen_;  // what tells one manifest file from the next
  std::atomic<bool> interrupted_{false};
  std::atomic<int64_t> tokens_{0};
  mutable std::mutex mutex_;
  std::vector<StreamMark> marks_;  // at each shard's end
  StreamMark expected_;
};

// A dataset over the cache of `options`, which its writer has opened, with a growing training split. Waits until the
// cache has `validation_tokens`, or all that it will ever have; as few of its shards as hold them are the validation
// split.
absl::StatusOr<Dataset> OpenGrowing(const GrowingStream::Options& options, int64_t validation_tokens);

}  // namespace ingot
