#pragma once
// Dataset: a directory of token shards made by `ingot data build`, opened for reading (docs/shard_format.md).
// Immutable and mapped: share it between threads.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace ingot {

enum class Split { kTraining, kValidation };

struct DatasetState;

class Dataset {
 public:
  explicit Dataset(std::shared_ptr<const DatasetState> state) : state_(std::move(state)) {}
  // Opens DIRECTORY, checks every header and size, and up to 1 GiB the checksums (above: `ingot data verify`).
  static absl::StatusOr<Dataset> Open(const std::string& directory);

  const std::string& directory() const;
  int64_t tokens(Split split) const;
  int64_t documents(Split split) const;
  int64_t text_bytes(Split split) const;  // of the documents; end-of-text tokens count 0 bytes
  int64_t vocabulary() const;             // padded size of the tokenizer that made it: every id is below
  int32_t end_of_text() const;            // the id that ends each document
  // Directory with a copy of the tokenizer's files: DIRECTORY/tokenizer.
  std::string tokenizer_directory() const;
  // One hash over shards, counts and tokenizer: two datasets with the same fingerprint give the same stream.
  uint64_t fingerprint() const;

  const DatasetState& state() const { return *state_; }

 private:
  std::shared_ptr<const DatasetState> state_;
};

}  // namespace ingot
