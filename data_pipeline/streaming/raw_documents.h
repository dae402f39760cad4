#pragma once
// RawDocuments: the documents of files that may still be joined by others, in a fixed order, from any place of it on.
//   The inputs are listed and sorted as FindDocuments() does. When all listed files have been read they are listed
//   again: files that are new are read next, in their sorted order. When a listing brings nothing new the input is over.
// A file that changes after it was begun is an error. One thread.
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "absl/status/statusor.h"
#include "data_pipeline/dataset_manifest.h"
#include "data_pipeline/document_batches.h"

namespace ingot {

// Pieces of one file: each one's `source` is the number of the file. None while documents are passed over.
struct RawBatch {
  DocumentBatch documents;
  std::vector<std::string> new_files;  // listed since the batch before
  int64_t ignored_files = 0;           // in the newest listing
  size_t file = 0;
  StreamFile as_begun;     // what the file was when it was opened
  bool ends_file = false;  // the last batch of its file, without pieces
  DocumentCounts counts;   // of the whole file, with ends_file
};

struct RawInput {
  std::vector<std::string> names;  // as `ingot data build --input` takes them
  DocumentOptions documents;       // what is left out must not depend on other documents
  SplitRule split;
  size_t batch_bytes = size_t{1} << 20;
  bool may_cut_documents = true;
};

class RawDocuments {
 public:
  // Goes on behind what `manifest` says has been read.
  RawDocuments(RawInput input, const DatasetManifest& manifest);

  // False at the end of the input.
  absl::StatusOr<bool> Next(RawBatch& batch);

 private:
  absl::StatusOr<bool> FindNewFiles();
  absl::Status OpenFile();
  absl::Status PassOver();
  absl::Status EndFile(RawBatch& batch);

  const RawInput input_;
  std::vector<std::string> files_;
  std::unordered_set<std::string> seen_;
  std::vector<std::string> new_files_;  // not handed out yet
  int64_t ignored_files_;
  size_t file_ = 0;          // being read, or the next one
  int64_t passed_over_ = 0;  // documents of it, read before, that are still to be passed over
  StreamFile as_begun_;
  std::unique_ptr<DocumentReader> reader_;    // of file_, while documents are passed over
  std::unique_ptr<DocumentBatches> batches_;  // of file_, then
};

// Size and time of the last change. An error if there is no such file.
absl::StatusOr<StreamFile> LookAtFile(const std::string& path);

// An error that names the first file that was begun and is not as it was then.
absl::Status CheckBegunFiles(const DatasetManifest& manifest);

}  // namespace ingot
