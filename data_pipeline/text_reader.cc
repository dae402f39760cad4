#include "data_pipeline/text_reader.h"

#include <simdjson.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "data_pipeline/line_reader.h"

namespace ingot {
namespace {

absl::Status TooLarge(const std::string& path, uint64_t limit) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": a document of more than ", limit,
                   " bytes; split the file, or separate documents by blank lines and use --documents blank-line"));
}

void CountUtf8(const std::string& text, DocumentCounts& counts) {
  if (!simdjson::validate_utf8(text.data(), text.size())) ++counts.invalid_utf8_documents;
}

class WholeFile : public DocumentSource {
 public:
  WholeFile(std::unique_ptr<CompressedFile> file, std::string path, uint64_t limit, DocumentCounts& counts)
      : file_(std::move(file)), path_(std::move(path)), limit_(limit), counts_(counts) {}

  absl::StatusOr<bool> Next(std::string& text) override {
    if (done_) return false;
    done_ = true;
    size_t size = 0;
    for (size_t got = 1; got > 0; size += got) {
      if (size > limit_) return TooLarge(path_, limit_);
      if (size == text.size()) text.resize(std::max<size_t>(size_t{1} << 16, 2 * size));
      INGOT_ASSIGN_OR_RETURN(got, file_->Read(text.data() + size, text.size() - size));
    }
    text.resize(size);
    CountUtf8(text, counts_);
    return true;
  }
  uint64_t bytes_consumed() const override { return file_->bytes_consumed(); }

 private:
  std::unique_ptr<CompressedFile> file_;
  std::string path_;
  uint64_t limit_;
  DocumentCounts& counts_;
  bool done_ = false;
};

class Paragraphs : public DocumentSource {
 public:
  Paragraphs(LineReader lines, std::string path, uint64_t limit, DocumentCounts& counts)
      : lines_(std::move(lines)), path_(std::move(path)), limit_(limit), counts_(counts) {}

  absl::StatusOr<bool> Next(std::string& text) override {
    text.clear();
    bool inside = false;
    for (absl::string_view line;;) {
      INGOT_ASSIGN_OR_RETURN(const bool found, lines_.Next(line));
      const bool blank = !found || line.empty() || line == "\r";
      if (blank && inside) break;
      if (!found) return false;
      if (blank) continue;
      if (inside) text.push_back('\n');
      inside = true;
      if (text.size() + line.size() > limit_) return TooLarge(path_, limit_);
      text.append(line.data(), line.size());
    }
    if (text.back() == '\r') text.pop_back();
    CountUtf8(text, counts_);
    return true;
  }
  uint64_t bytes_consumed() const override { return lines_.bytes_consumed(); }

 private:
  LineReader lines_;
  std::string path_;
  uint64_t limit_;
  DocumentCounts& counts_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<DocumentSource>> OpenTextFile(const std::string& path, const DocumentOptions& options,
                                                             DocumentCounts& counts) {
  INGOT_ASSIGN_OR_RETURN(std::unique_ptr<CompressedFile> file, CompressedFile::Open(path));
  const uint64_t limit = options.max_document_bytes;
  if (!options.blank_line_documents) return std::make_unique<WholeFile>(std::move(file), path, limit, counts);
  return std::make_unique<Paragraphs>(LineReader(std::move(file), path, limit), path, limit, counts);
}

}  // namespace ingot
