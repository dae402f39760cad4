#include "data_pipeline/documents.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "data_pipeline/input_files.h"
#include "data_pipeline/jsonl_reader.h"
#include "data_pipeline/parquet_reader.h"
#include "data_pipeline/text_reader.h"

namespace ingot {
namespace {

bool HasColumns(const std::string& path) { return IsJsonlFile(path) || IsParquetFile(path); }

absl::StatusOr<std::unique_ptr<DocumentSource>> OpenFile(const std::string& path, const DocumentOptions& options,
                                                         DocumentCounts& counts) {
  if (IsParquetFile(path)) return OpenParquetFile(path, options, counts);
  if (IsJsonlFile(path)) return OpenJsonlFile(path, options, counts);
  return OpenTextFile(path, options, counts);
}

}  // namespace

absl::StatusOr<std::unique_ptr<DocumentReader>> DocumentReader::Open(const std::vector<std::string>& paths,
                                                                     const DocumentOptions& options) {
  std::unique_ptr<DocumentReader> reader(new DocumentReader);
  reader->options_ = options;
  INGOT_ASSIGN_OR_RETURN(InputFiles input, FindDocuments(paths));
  const auto no_columns = std::find_if_not(input.files.begin(), input.files.end(), HasColumns);
  if (!options.curation.where.empty() && no_columns != input.files.end()) {
    return absl::InvalidArgumentError(absl::StrCat(*no_columns, ": has no columns for --where '",
                                                   options.curation.where[0], "'; expected .jsonl or .parquet"));
  }
  reader->files_ = std::move(input.files);
  reader->input_bytes_ = input.bytes;
  reader->counts_.files = static_cast<int64_t>(reader->files_.size());
  reader->counts_.ignored_files = input.ignored_files;
  if (options.curation.any()) {
    INGOT_ASSIGN_OR_RETURN(reader->curator_, Curator::Create(options.curation, reader->counts_.curation));
  }
  return reader;
}

// Input without any text is a mistake that would otherwise surface far from its cause.
absl::Status DocumentReader::NoText() const {
  const CurationCounts& left_out = counts_.curation;
  std::string message = absl::StrCat("no text in the input: ", absl::StrJoin(files_, ", ").substr(0, 200), ": ",
                                     counts_.empty_documents, " empty documents, ", counts_.bad_lines, " bad lines");
  if (curator_ != nullptr) {
    absl::StrAppend(&message, "; left out by columns ", left_out.column_documents, ", as too short ",
                    left_out.short_documents, ", as too long ", left_out.long_documents, ", as contaminated ",
                    left_out.contaminated_documents);
  }
  return absl::InvalidArgumentError(message);
}

// False when all files are done.
absl::StatusOr<bool> DocumentReader::OpenNextFile() {
  if (source_ != nullptr) finished_bytes_ += source_->bytes_consumed();
  source_.reset();
  if (next_file_ == files_.size()) {
    if (counts_.documents > 0 || takes_empty_input_) return false;
    return NoText();
  }
  const std::string& path = files_[next_file_++];
  INGOT_ASSIGN_OR_RETURN(source_, OpenFile(path, options_, counts_));
  return true;
}

absl::StatusOr<bool> DocumentReader::Next(std::string& text) {
  for (;;) {
    bool found = false;
    if (source_ != nullptr) {
      INGOT_ASSIGN_OR_RETURN(found, source_->Next(text));
    }
    if (!found) {
      INGOT_ASSIGN_OR_RETURN(const bool opened, OpenNextFile());
      if (!opened) return false;
      continue;
    }
    bool stays = !text.empty();
    counts_.empty_documents += !stays;
    if (stays && curator_ != nullptr) {
      INGOT_ASSIGN_OR_RETURN(stays, curator_->Keep(text));
    }
    if (stays) break;
  }
  ++counts_.documents;
  counts_.text_bytes += static_cast<int64_t>(text.size());
  return true;
}

}  // namespace ingot
