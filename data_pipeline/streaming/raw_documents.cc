#include "data_pipeline/streaming/raw_documents.h"

#include <simdjson.h>
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "data_pipeline/input_files.h"

namespace ingot {
namespace {

absl::Status Changed(const std::string& path, const StreamFile& then, const StreamFile& now) {
  return absl::FailedPreconditionError(absl::StrCat(
      path, ": expected the raw documents as they were when tokens were made of them (", then.bytes,
      " bytes, changed at ", then.modified_nanoseconds, " ns), found ", now.bytes, " bytes, changed at ",
      now.modified_nanoseconds,
      " ns; put the file back with its time, or begin anew with another cache and --output. New text belongs into new "
      "files"));
}

bool Same(const StreamFile& a, const StreamFile& b) {
  return a.bytes == b.bytes && a.modified_nanoseconds == b.modified_nanoseconds;
}

absl::Status CheckUnchanged(const std::string& path, const StreamFile& then) {
  INGOT_ASSIGN_OR_RETURN(const StreamFile now, LookAtFile(path));
  return Same(then, now) ? absl::OkStatus() : Changed(path, then, now);
}

// Names are kept as JSON.
absl::Status CheckName(const std::string& path) {
  if (simdjson::validate_utf8(path.data(), path.size())) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": expected a name in UTF-8, found other bytes; rename the file, or use 'ingot data build'"));
}

}  // namespace

absl::StatusOr<StreamFile> LookAtFile(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": expected the raw documents that were there before"));
  }
  return StreamFile{.bytes = info.st_size,
                    .modified_nanoseconds = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

absl::Status CheckBegunFiles(const DatasetManifest& manifest) {
  for (size_t i = 0; i < manifest.sources.size(); ++i) {
    const StreamFile& file = manifest.stream->files[i];
    if (file.begun()) INGOT_RETURN_IF_ERROR(CheckUnchanged(manifest.sources[i].path, file));
  }
  return absl::OkStatus();
}

RawDocuments::RawDocuments(RawInput input, const DatasetManifest& manifest)
    : input_(std::move(input)), ignored_files_(manifest.counts.ignored_files) {
  for (const SourceEntry& source : manifest.sources) {
    files_.push_back(source.path);
    seen_.insert(source.path);
  }
  while (file_ < files_.size() && manifest.stream->files[file_].done) ++file_;
  if (file_ < files_.size()) passed_over_ = manifest.sources[file_].documents;
}

absl::StatusOr<bool> RawDocuments::FindNewFiles() {
  const bool first = files_.empty();
  INGOT_ASSIGN_OR_RETURN(const InputFiles input, FindDocuments(input_.names));
  ignored_files_ = input.ignored_files;
  for (const std::string& path : input.files) {
    // What is named twice at the beginning is read twice, as `data build` does.
    if (!seen_.insert(path).second && !first) continue;
    INGOT_RETURN_IF_ERROR(CheckName(path));
    files_.push_back(path);
    new_files_.push_back(path);
  }
  return file_ < files_.size();
}

absl::Status RawDocuments::OpenFile() {
  const std::string& path = files_[file_];
  INGOT_ASSIGN_OR_RETURN(as_begun_, LookAtFile(path));
  INGOT_ASSIGN_OR_RETURN(reader_, DocumentReader::Open({path}, input_.documents));
  reader_->TakeEmptyInput();
  return absl::OkStatus();
}

// About a batch of the documents that were read before.
absl::Status RawDocuments::PassOver() {
  std::string text;
  for (size_t bytes = 0; passed_over_ > 0 && bytes < input_.batch_bytes; --passed_over_) {
    INGOT_ASSIGN_OR_RETURN(const bool found, reader_->Next(text));
    if (!found) {
      return absl::FailedPreconditionError(absl::StrCat(files_[file_], ": expected ", passed_over_,
                                                        " more documents, which tokens were made of before, ",
                                                        "found the end of the file"));
    }
    bytes += text.size();
  }
  if (passed_over_ > 0) return absl::OkStatus();
  batches_ =
      std::make_unique<DocumentBatches>(std::move(reader_), input_.split, input_.batch_bytes, input_.may_cut_documents);
  return absl::OkStatus();
}

absl::Status RawDocuments::EndFile(RawBatch& batch) {
  INGOT_RETURN_IF_ERROR(CheckUnchanged(files_[file_], as_begun_));
  batch.ends_file = true;
  batch.counts = batches_->reader().counts();
  batches_.reset();
  ++file_;
  return absl::OkStatus();
}

absl::StatusOr<bool> RawDocuments::Next(RawBatch& batch) {
  if (batches_ == nullptr && reader_ == nullptr) {
    if (file_ == files_.size()) {
      INGOT_ASSIGN_OR_RETURN(const bool found, FindNewFiles());
      if (!found) return false;
    }
    INGOT_RETURN_IF_ERROR(OpenFile());
  }
  batch.new_files = std::move(new_files_);
  new_files_.clear();
  batch.ignored_files = ignored_files_;
  batch.file = file_;
  batch.as_begun = as_begun_;
  batch.ends_file = false;
  batch.documents.text.clear();
  batch.documents.pieces.clear();
  if (batches_ == nullptr) INGOT_RETURN_IF_ERROR(PassOver());
  if (batches_ == nullptr) return true;
  INGOT_ASSIGN_OR_RETURN(const bool found, batches_->Next(batch.documents));
  for (DocumentPiece& piece : batch.documents.pieces) piece.source = file_;
  if (!found) INGOT_RETURN_IF_ERROR(EndFile(batch));
  return true;
}

}  // namespace ingot
