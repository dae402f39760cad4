#include "data_pipeline/documents.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "data_pipeline/compressed_file.h"
#include "data_pipeline/jsonl_reader.h"
#include "data_pipeline/text_reader.h"

namespace ingot {
namespace {

constexpr char kEndings[] = ".txt, .jsonl, or one of them followed by .gz or .zst";

bool IsJsonl(const std::string& path) { return absl::EndsWith(NameWithoutCompression(path), ".jsonl"); }
bool IsDocumentFile(const std::string& path) {
  return IsJsonl(path) || absl::EndsWith(NameWithoutCompression(path), ".txt");
}

}  // namespace

absl::Status DocumentReader::AddFile(const std::string& path) {
  INGOT_ASSIGN_OR_RETURN(const uint64_t bytes, FileSize(path));
  input_bytes_ += bytes;
  files_.push_back(path);
  return absl::OkStatus();
}

absl::Status DocumentReader::AddDirectory(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> found;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const bool hidden = absl::StartsWith(it->path().filename().string(), ".");
    std::error_code unreadable;  // a link to nowhere is passed over like any other entry that is no file
    if (hidden && it->is_directory(unreadable)) it.disable_recursion_pending();
    if (hidden || !it->is_regular_file(unreadable)) continue;
    if (IsDocumentFile(it->path().string())) {
      found.push_back(it->path().string());
    } else {
      ++counts_.ignored_files;
    }
  }
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat(path, ": listing the directory failed"));
  if (found.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": no documents in this directory; expected files named ",
                                                   kEndings, "; found ", counts_.ignored_files, " other files"));
  }
  std::sort(found.begin(), found.end());
  for (const std::string& file : found) INGOT_RETURN_IF_ERROR(AddFile(file));
  return absl::OkStatus();
}

absl::Status DocumentReader::AddPath(const std::string& path) {
  if (DirectoryExists(path)) return AddDirectory(path);
  if (!FileExists(path)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file or directory; expected text to read"));
  }
  if (IsDocumentFile(path)) return AddFile(path);
  return absl::InvalidArgumentError(absl::StrCat(path, ": cannot tell the format from the name; expected ", kEndings));
}

absl::StatusOr<std::unique_ptr<DocumentReader>> DocumentReader::Open(const std::vector<std::string>& paths,
                                                                     const DocumentOptions& options) {
  if (paths.empty()) return absl::InvalidArgumentError("no input: expected at least one file or directory");
  std::unique_ptr<DocumentReader> reader(new DocumentReader);
  reader->options_ = options;
  for (const std::string& path : paths) INGOT_RETURN_IF_ERROR(reader->AddPath(path));
  reader->counts_.files = static_cast<int64_t>(reader->files_.size());
  return reader;
}

// False when all files are done. Input without any text is a mistake that would otherwise surface far from its cause.
absl::StatusOr<bool> DocumentReader::OpenNextFile() {
  if (source_ != nullptr) finished_bytes_ += source_->bytes_consumed();
  source_.reset();
  if (next_file_ == files_.size()) {
    if (counts_.documents > 0) return false;
    return absl::InvalidArgumentError(absl::StrCat("no text in the input: ", absl::StrJoin(files_, ", ").substr(0, 200),
                                                   ": ", counts_.empty_documents, " empty documents, ",
                                                   counts_.bad_lines, " bad lines"));
  }
  const std::string& path = files_[next_file_++];
  INGOT_ASSIGN_OR_RETURN(
      source_, IsJsonl(path) ? OpenJsonlFile(path, options_, counts_) : OpenTextFile(path, options_, counts_));
  return true;
}

absl::StatusOr<bool> DocumentReader::Next(std::string& text) {
  for (;;) {
    if (source_ != nullptr) {
      INGOT_ASSIGN_OR_RETURN(const bool found, source_->Next(text));
      if (found && !text.empty()) break;
      if (found) {
        ++counts_.empty_documents;
        continue;
      }
    }
    INGOT_ASSIGN_OR_RETURN(const bool opened, OpenNextFile());
    if (!opened) return false;
  }
  ++counts_.documents;
  counts_.text_bytes += static_cast<int64_t>(text.size());
  return true;
}

}  // namespace ingot
