#pragma once
// Lines of a CompressedFile, numbered from 1. Memory is bounded by the longest line.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "data_pipeline/compressed_file.h"

namespace ingot {

class LineReader {
 public:
  // Readable bytes behind every line: what simdjson wants (SIMDJSON_PADDING).
  static constexpr size_t kPadding = 64;

  // A line of more than `max_line_bytes` is an error. `path` is for messages.
  LineReader(std::unique_ptr<CompressedFile> file, std::string path, uint64_t max_line_bytes);

  // The next line without its LF (a CR before it stays), valid until the next call; false at the end.
  absl::StatusOr<bool> Next(absl::string_view& line);
  // Number of the line that Next() gave last.
  int64_t line_number() const { return line_number_; }
  uint64_t bytes_consumed() const { return file_->bytes_consumed(); }

 private:
  absl::Status ReadMore();

  std::unique_ptr<CompressedFile> file_;
  std::string path_;
  uint64_t max_line_bytes_;
  std::vector<char> buffer_;                  // text in [begin_, end_), then at least kPadding bytes
  size_t begin_ = 0, scanned_ = 0, end_ = 0;  // no LF in [begin_, scanned_)
  bool at_end_ = false;
  int64_t line_number_ = 0;
};

}  // namespace ingot
