#pragma once
// MdsDirectory: tokens in MosaicML's MDS format, a directory with index.json and shards, plain or compressed by zstd or
// gzip (docs/foreign_formats.md). Any bytes at all may be opened and read. Memory: one decompressed shard.
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ingot {

// What the files do not say.
struct MdsOptions {
  std::string column = "tokens";  // the column that holds ids
  // Type of the ids where the column's encoding is "bytes", as numpy names it: "uint16", "int64", …
  std::string bytes_type = {};
  // Samples are cut from one stream of documents: only separators end documents. Otherwise each sample is a document.
  bool joined = false;
};

// One shard of index.json.
struct MdsShard {
  std::string path;        // of the file that is there: the raw one, else the compressed one
  uint64_t raw_bytes = 0;  // of the raw one
  int64_t samples = 0;
  std::vector<int64_t> column_sizes;  // in bytes; -1: a size stands in each sample
  size_t column = 0;                  // index of the column with ids
  std::string encoding;               // of that column
};

class MdsDirectory {
 public:
  // Whether PATH is a directory with an index.json of MDS.
  static bool Detect(const std::string& path);
  static absl::StatusOr<MdsDirectory> Open(const std::string& path, const MdsOptions& options);

  int64_t files() const { return 1 + static_cast<int64_t>(shards_.size()); }
  int64_t file_bytes() const { return file_bytes_; }
  int64_t samples() const;

  // Calls `visit` with the ids of each sample, in order. An id outside [0, vocabulary) is an error that names shard,
  // sample and id.
  using Visit = std::function<absl::Status(std::span<const int32_t> ids)>;
  absl::Status ForEachSample(int64_t vocabulary, const Visit& visit) const;

 private:
  absl::Status ReadShard(const MdsShard& shard, std::span<const std::byte> bytes, int64_t vocabulary,
                         const Visit& visit) const;

  MdsOptions options_;
  std::vector<MdsShard> shards_;
  int64_t file_bytes_ = 0;
};

}  // namespace ingot
