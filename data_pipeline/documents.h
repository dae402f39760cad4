#pragma once
// Documents: the texts of files and directories, one after the other, in an order that depends on nothing but names.
//   .txt     the whole file, or blank-line separated (text_reader.h)
//   .jsonl   one object a line (jsonl_reader.h)
// each plain, .gz or .zst, and
//   .parquet one document a row (parquet_reader.h)
// Streamed: memory holds one document and small buffers. For one thread; Parquet is decoded by others.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data_pipeline/curation/curator.h"
#include "data_pipeline/document_source.h"

namespace ingot {

class DocumentReader {
 public:
  // `paths` are files, directories, patterns and lists, read in the order given (FindDocuments in input_files.h).
  // options.curation says what is left out; a file without columns where it asks for columns is an error.
  static absl::StatusOr<std::unique_ptr<DocumentReader>> Open(const std::vector<std::string>& paths,
                                                              const DocumentOptions& options);

  // The next document that is not left out replaces `text`; false when there is no more. No document in all the input is
  // an error unless TakeEmptyInput() was called.
  absl::StatusOr<bool> Next(std::string& text);

  void TakeEmptyInput() { takes_empty_input_ = true; }

  const DocumentCounts& counts() const { return counts_; }
  const std::vector<std::string>& files() const { return files_; }
  // Index in files() of the document that Next() gave last.
  size_t file() const { return next_file_ - 1; }
  // Size of all files on disk, and how much of it has been read: for progress.
  uint64_t input_bytes() const { return input_bytes_; }
  uint64_t input_bytes_read() const { return finished_bytes_ + (source_ ? source_->bytes_consumed() : 0); }

 private:
  DocumentReader() = default;
  absl::Status NoText() const;
  absl::StatusOr<bool> OpenNextFile();

  DocumentOptions options_;
  DocumentCounts counts_;
  std::vector<std::string> files_;
  size_t next_file_ = 0;
  bool takes_empty_input_ = false;
  std::unique_ptr<DocumentSource> source_;
  std::unique_ptr<Curator> curator_;  // null where nothing is left out
  uint64_t input_bytes_ = 0, finished_bytes_ = 0;
};

}  // namespace ingot
