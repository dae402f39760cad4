#pragma once
// What the readers of one file have in common: options, counts, and "next document".
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "data_pipeline/curation/options.h"

namespace ingot {

struct DocumentOptions {
  std::string text_field = "text";    // field of a JSON line, or column, that holds the text
  bool blank_line_documents = false;  // .txt: documents are separated by blank lines, not one a file
  bool skip_bad_lines = false;        // .jsonl, .parquet: count lines and rows that cannot be used instead of stopping
  // The largest document. It is held in memory as a whole; simdjson takes less than 4 GiB.
  uint64_t max_document_bytes = (uint64_t{1} << 32) - 1;
  int decode_threads = 0;  // .parquet: row groups decoded side by side, at most 8; 0: one a processor
  CurationOptions curation = {};
};

struct DocumentCounts {
  int64_t files = 0;
  int64_t ignored_files = 0;           // in a directory, with an ending that is not a document's
  int64_t documents = 0;               // that were not left out
  int64_t text_bytes = 0;              // of them
  int64_t empty_documents = 0;         // left out: no text
  int64_t bad_lines = 0;               // left out by skip_bad_lines
  int64_t invalid_utf8_documents = 0;  // of plain text, taken byte for byte
  CurationCounts curation = {};
  bool operator==(const DocumentCounts&) const = default;
};

// The documents of one file in their order.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // The next document's text replaces `text`; false at the end. An error ends the source.
  virtual absl::StatusOr<bool> Next(std::string& text) = 0;
  virtual uint64_t bytes_consumed() const = 0;  // of the file on disk
};

}  // namespace ingot
