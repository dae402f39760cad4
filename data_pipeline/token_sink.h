#pragma once
// TokenSink: the documents of one split as ids, one after the other, into files of a format.
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "data_pipeline/dataset_manifest.h"

namespace ingot {

struct SinkOptions {
  std::string directory;  // where the files go
  Split split = Split::kTraining;
  int64_t vocabulary = 0;  // every id is below
  int32_t end_of_text = 0;
  int64_t shard_tokens = 0;  // of one file, where the format has several
  size_t first_shard = 0;    // number of the first file of a dataset
};

class TokenSink {
 public:
  virtual ~TokenSink() = default;

  // Ids of the document that is open, or of a new one.
  virtual absl::Status Append(std::span<const int32_t> ids) = 0;
  // Ends the document; end of text goes where the format has it.
  virtual absl::Status EndDocument() = 0;
  // Closes the files; nothing may follow. Without any token there is no file.
  virtual absl::Status Finish() = 0;

  // Counts text whose ids were appended.
  void AddTextBytes(int64_t bytes) { entry_.text_bytes += bytes; }
  // A piece of a document: its ids, and how much text they stand for.
  absl::Status Take(std::span<const int32_t> ids, int64_t text_bytes, bool ends_document);
  // Counts so far; files are complete after Finish().
  const SplitEntry& entry() const { return entry_; }

 protected:
  SplitEntry entry_;
};

using TokenSinks = std::array<std::unique_ptr<TokenSink>, 2>;  // by Split

// A sink a split, of `format`: kDatasetFormat or the name of a foreign one. An error if the format cannot hold the
// vocabulary.
absl::StatusOr<TokenSinks> OpenTokenSinks(const std::string& format, SinkOptions options);

}  // namespace ingot
