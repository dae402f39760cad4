#pragma once
// Shard: a file of token ids with the places where documents end and checksums over every byte. The format, with an
// example in bytes, is docs/shard_format.md.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/file.h"

namespace ingot {

inline constexpr int64_t kShardHeaderBytes = 32;
inline constexpr int64_t kShardTrailerBytes = 32;

// What header and trailer say.
struct ShardInfo {
  int64_t token_bytes = 2;  // of one id: 2 if vocabulary <= 65,536, else 4
  int64_t vocabulary = 0;   // every id is below
  int32_t end_of_text = 0;  // the id that ends each document
  int64_t tokens = 0;
  int64_t documents = 0;  // that end in this shard
  uint32_t tokens_crc = 0, ends_crc = 0;

  int64_t ends_offset() const { return kShardHeaderBytes + (tokens * token_bytes + 7) / 8 * 8; }
};

// Reads header and trailer of a shard's bytes and checks them against each other and the size, all in 64 bits.
// `path` is for messages. Any bytes at all may be given.
absl::StatusOr<ShardInfo> ParseShard(std::span<const std::byte> bytes, const std::string& path);

// Writes one shard from front to back.
class ShardWriter {
 public:
  static absl::StatusOr<ShardWriter> Create(const std::string& path, int64_t vocabulary, int32_t end_of_text);
  // Ids outside [0, vocabulary) are a programmer's error.
  absl::Status Append(std::span<const int32_t> ids);
  // The last id appended ends a document.
  void EndDocument() { ends_.push_back(static_cast<uint64_t>(info_.tokens)); }
  // Flushed to disk when this returns OK.
  absl::Status Close();

  const ShardInfo& info() const { return info_; }
  uint64_t file_bytes() const { return file_.bytes_written(); }
  uint32_t file_crc() const { return file_.crc32c(); }

 private:
  ShardWriter(FileWriter file, const ShardInfo& info) : file_(std::move(file)), info_(info) {}
  absl::Status WriteHeader();

  FileWriter file_;
  ShardInfo info_;
  std::vector<uint64_t> ends_;
  std::vector<uint16_t> narrow_;  // scratch of Append
};

// A shard of `tokens` ids, all 0, that takes no room on disk but for `ends`: the file has a hole. For measuring and
// testing at sizes that no disk holds; everything is as it should be but the checksum of the tokens.
absl::Status WriteSparseShard(const std::string& path, int64_t vocabulary, int32_t end_of_text, int64_t tokens,
                              std::span<const uint64_t> ends);

// A shard mapped for reading. Thread-safe.
class Shard {
 public:
  // Checks what ParseShard checks. Checksums: Verify().
  static absl::StatusOr<Shard> Open(const std::string& path);

  const ShardInfo& info() const { return info_; }
  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return file_.bytes(); }

  // Ids [first, first + count) as int32.
  void Copy(int64_t first, int64_t count, int32_t* ids) const;
  // Ends of documents: end i is the index of the token after document i's last, ascending.
  std::span<const uint64_t> ends() const;

  // The checksums of both sections.
  absl::Status VerifyChecksums() const;
  // Checksums, every id < vocabulary, ends ascending and in range, end_of_text at the end of each document and nowhere
  // else.
  absl::Status Verify() const;

 private:
  Shard(MappedFile file, const ShardInfo& info, std::string path)
      : file_(std::move(file)), info_(info), path_(std::move(path)) {}
  absl::Status VerifyIds() const;
  absl::Status VerifyEnds() const;

  MappedFile file_;
  ShardInfo info_;
  std::string path_;
};

}  // namespace ingot
