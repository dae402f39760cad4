#pragma once
// dataset.json: what a dataset directory holds, and how it was built (docs/shard_format.md).
#include <array>
#include <cstdint>
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

  SplitEntry& split(Split split) { return splits[static_cast<size_t>(split)]; }
  const SplitEntry& split(Split split) const { return splits[static_cast<size_t>(split)]; }
};

inline constexpr Split kSplits[] = {Split::kTraining, Split::kValidation};
inline const char* Name(Split split) { return split == Split::kTraining ? "training" : "validation"; }

// DIRECTORY/dataset.json and, beside it, dataset.json.crc32c: its checksum as eight hexadecimal digits. For a foreign
// format the same as build.json: a record for people and scripts, which nothing reads back.
absl::Status WriteManifest(const DatasetManifest& manifest, const std::string& directory);
absl::StatusOr<DatasetManifest> ReadManifest(const std::string& directory);

// Equal for two datasets that give the same streams of tokens from the same tokenizer.
uint64_t FingerprintOf(const DatasetManifest& manifest);

}  // namespace ingot
