#include "data_pipeline/document_batches.h"

#include <algorithm>

#include "core/base/status_macros.h"
#include "data_pipeline/hash.h"
#include "tokenizer/splitter.h"

namespace ingot {
namespace {

// A place in [1, size) near `at` for the border between training and validation text.
size_t TailCut(absl::string_view text, size_t at) {
  constexpr size_t kNear = size_t{1} << 16;
  const size_t newline = text.substr(0, at + kNear).find('\n', at);
  if (newline != absl::string_view::npos && newline + 1 < text.size()) return newline + 1;
  const auto continues = [&](size_t i) { return (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80; };
  size_t cut = std::max<size_t>(at, 1);
  while (cut + 1 < text.size() && cut < at + 4 && continues(cut)) ++cut;  // not inside a UTF-8 character
  return cut;
}

}  // namespace

void EncodePieces(const std::function<void(absl::string_view, std::vector<int32_t>&)>& encode, DocumentBatch& batch) {
  batch.ids.clear();
  size_t begin = 0;
  for (DocumentPiece& piece : batch.pieces) {
    encode(absl::string_view(batch.text).substr(begin, piece.text_end - begin), batch.ids);
    piece.ids_end = batch.ids.size();
    begin = piece.text_end;
  }
}

DocumentBatches::DocumentBatches(std::unique_ptr<DocumentReader> reader, const SplitRule& rule, size_t batch_bytes,
                                 bool may_cut_documents)
    : reader_(std::move(reader)), rule_(rule), batch_bytes_(batch_bytes), may_cut_documents_(may_cut_documents) {}

Split DocumentBatches::SplitOf(absl::string_view document) const {
  // The hash as a number in [0, 1).
  const double place = static_cast<double>(HashBytes(document) >> 11) * 0x1p-53;
  return place < rule_.validation_fraction ? Split::kValidation : Split::kTraining;
}

// Makes [done_, document_end_) the next document.
absl::StatusOr<bool> DocumentBatches::NextDocument() {
  if (done_ < text_.size()) {  // the second part of the document that was cut for the tail
    document_end_ = text_.size();
    split_ = Split::kValidation;
    return true;
  }
  text_before_ += static_cast<int64_t>(text_.size());
  INGOT_ASSIGN_OR_RETURN(const bool found, reader_->Next(text_));
  if (!found) return false;
  done_ = 0;
  document_end_ = text_.size();
  if (rule_.tail_from < 0) {
    split_ = SplitOf(text_);
    return true;
  }
  split_ = text_before_ >= rule_.tail_from ? Split::kValidation : Split::kTraining;
  const int64_t cut = rule_.tail_from - text_before_;
  if (cut > 0 && cut < static_cast<int64_t>(text_.size())) document_end_ = TailCut(text_, static_cast<size_t>(cut));
  return true;
}

void DocumentBatches::AddPiece(DocumentBatch& batch) {
  const absl::string_view rest = absl::string_view(text_).substr(done_, document_end_ - done_);
  const bool whole = rest.size() <= batch_bytes_ || !may_cut_documents_;
  const size_t size = whole ? rest.size() : SafeCut(rest, batch_bytes_);
  batch.text.append(rest.data(), size);
  done_ += size;
  batch.pieces.push_back({.text_end = batch.text.size(),
                          .ends_document = done_ == document_end_,
                          .split = split_,
                          .source = reader_->file()});
}

absl::StatusOr<bool> DocumentBatches::Next(DocumentBatch& batch) {
  batch.text.clear();
  batch.pieces.clear();
  while (batch.text.size() < batch_bytes_) {
    if (done_ == document_end_) {
      INGOT_ASSIGN_OR_RETURN(const bool found, NextDocument());
      if (!found) break;
    }
    AddPiece(batch);
  }
  batch.input_bytes_read = reader_->input_bytes_read();
  return !batch.pieces.empty();
}

}  // namespace ingot
