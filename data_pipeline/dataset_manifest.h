#pragma once
// dataset.json: what a dataset directory holds, and how it was built (docs/shard_format.md).
#include <array>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "data_pipeline/dataset.h"
#include "data_pipeline/document_source.h"

namespace ingot {

// A file of the directory and its checksum.
struct FileEntry {
  std::string name;  // relative to the dataset directory
  int64_t bytes = 0;
  uint32_t crc32c = 0;
};

struct ShardEntry {
  FileEntry file;
  int64_t tokens = 0;
  int64_t documents = 0;
};

struct SplitEntry {
  int64_t documents = 0;
  int64_t tokens = 0;      // end-of-text tokens included
  int64_t text_bytes = 0;  // of the documents; end of text counts 0 bytes
  std::vector<ShardEntry> shards;
};

struct SourceEntry {
  std::string path;
  int64_t documents = 0;
  int64_t tokens = 0;
  int64_t text_bytes = 0;

  void Add(int64_t more_documents, int64_t more_tokens, int64_t more_text_bytes) {
    documents += more_documents;
    tokens += more_tokens;
    text_bytes += more_text_bytes;
  }
};

// A file of raw documents that are tokenized while a run trains (streaming/): as it was when it was begun.
struct StreamFile {
  int64_t bytes = 0;
  int64_t modified_nanoseconds = 0;  // since 1970; 0: not begun
  bool done = false;                 // all its documents are in the shards
  bool begun() const { return done || modified_nanoseconds != 0; }
};

struct StreamProgress {
  std::vector<StreamFile> files;  // one a source, in the order in which they are read
  std::string rules;              // how text becomes tokens, for people: what must be equal to go on
  int64_t shard_tokens = 0;       // of the first shards (streaming/stream_shards.h)
  bool complete = false;          // nothing comes any more
};

// What Dataset opens; the name of a foreign format (foreign/corpus.h) where token files of another trainer were made.
inline constexpr char kDatasetFormat[] = "ingot dataset";

struct DatasetManifest {
  std::string format = kDatasetFormat;
  int64_t vocabulary = 0;
  int32_t end_of_text = 0;
  uint64_t tokenizer_hash = 0;  // HashBytes of tokenizer.json
  std::vector<FileEntry> tokenizer_files;

  DocumentOptions options;
  double validation_fraction = 0;
  // Whole documents chosen by their hash; or, where that leaves a split (nearly) empty, the tail of the text.
  bool validation_is_tail = false;
  DocumentCounts counts;
  std::array<SplitEntry, 2> splits;  // by Split
  std::vector<SourceEntry> sources;
  std::optional<StreamProgress> stream;  // of shards that are made while a run trains

  SplitEntry& split(Split split) { return splits[static_cast<size_t>(split)]; }
  const SplitEntry& split(Split split) const { return splits[static_cast<size_t>(split)]; }
};

inline constexpr Split kSplits[] = {Split::kTraining, Split::kValidation};
inline const char* Name(Split split) { return split == Split::kTraining ? "training" : "validation"; }

// As dataset.json holds it.
nlohmann::ordered_json CurationJson(const CurationCounts& counts);

// Of a stream: DIRECTORY/stream.json, replaced as a whole; its first line is the checksum of what follows. Else
// DIRECTORY/dataset.json and, beside it, dataset.json.crc32c: its checksum as eight hexadecimal digits. For a foreign
// format the same as build.json: a record for people and scripts, which nothing reads back.
absl::Status WriteManifest(const DatasetManifest& manifest, const std::string& directory);
inline constexpr char kStreamManifest[] = "stream.json";
absl::StatusOr<DatasetManifest> ReadManifest(const std::string& directory);

// Equal for two datasets that give the same streams of tokens from the same tokenizer.
uint64_t FingerprintOf(const DatasetManifest& manifest);

}  // namespace ingot
