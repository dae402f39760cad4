#pragma once
// The bytes of a file, decompressed while they are read: plain, .gz (any number of members) or .zst and .zstd (any
// number of frames), told apart by the name's ending. Memory is bounded by one input buffer and the decoder's window.
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace ingot {

class CompressedFile {
 public:
  static absl::StatusOr<std::unique_ptr<CompressedFile>> Open(const std::string& path);
  virtual ~CompressedFile() = default;

  // Fills up to `size` bytes of `out` and returns how many; 0 only at the end. Corrupt or truncated data is an error
  // that names the file and the place in it.
  virtual absl::StatusOr<size_t> Read(char* out, size_t size) = 0;
  // Bytes taken from the disk so far: for progress.
  virtual uint64_t bytes_consumed() const = 0;
};

// "corpus.txt" from "corpus.txt.gz": the name that tells the format of the contents.
std::string NameWithoutCompression(const std::string& path);

}  // namespace ingot
