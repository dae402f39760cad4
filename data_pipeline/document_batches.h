#pragma once
// Batches: documents in pieces of bounded size for the threads of the builder, each marked with its split.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "data_pipeline/dataset.h"
#include "data_pipeline/documents.h"

namespace ingot {

// Which documents validate.
struct SplitRule {
  // Share of the documents, chosen by the hash of their text: equal documents fall into the same split.
  double validation_fraction = 0;
  // >= 0: instead, the text after this many bytes. A document that lies across is cut in two, at a line's end if there
  // is one near.
  int64_t tail_from = -1;
};

// A piece of a document; its ids depend on nothing outside it.
struct DocumentPiece {
  size_t text_end = 0;  // in DocumentBatch::text; it begins where the piece before ends
  size_t ids_end = 0;   // in DocumentBatch::ids, filled by the builder
  bool ends_document = false;
  Split split = Split::kTraining;
  size_t source = 0;  // index in DocumentReader::files()
};

struct DocumentBatch {
  std::string text;
  std::vector<DocumentPiece> pieces;
  std::vector<int32_t> ids;
  uint64_t input_bytes_read = 0;
};

// Fills `ids` with those of the pieces' texts; encode(text, ids) appends them.
void EncodePieces(const std::function<void(absl::string_view, std::vector<int32_t>&)>& encode, DocumentBatch& batch);

// Calls take(piece, ids, bytes of text) for each piece in order, until one returns an error.
template <typename Take>
absl::Status ForEachPiece(const DocumentBatch& batch, const Take& take) {
  size_t text_begin = 0, ids_begin = 0;
  for (const DocumentPiece& piece : batch.pieces) {
    const auto ids = std::span(batch.ids).subspan(ids_begin, piece.ids_end - ids_begin);
    if (absl::Status taken = take(piece, ids, static_cast<int64_t>(piece.text_end - text_begin)); !taken.ok()) {
      return taken;
    }
    text_begin = piece.text_end;
    ids_begin = piece.ids_end;
  }
  return absl::OkStatus();
}

class DocumentBatches {
 public:
  DocumentBatches(std::unique_ptr<DocumentReader> reader, const SplitRule& rule, size_t batch_bytes,
                  bool may_cut_documents = true);

  // Fills `batch` with about batch_bytes of text; false at the end.
  absl::StatusOr<bool> Next(DocumentBatch& batch);
  const DocumentReader& reader() const { return *reader_; }

 private:
  absl::StatusOr<bool> NextDocument();
  Split SplitOf(absl::string_view document) const;
  void AddPiece(DocumentBatch& batch);

  std::unique_ptr<DocumentReader> reader_;
  SplitRule rule_;
  size_t batch_bytes_;
  bool may_cut_documents_;  // for batches; not where that would change ids
  std::string text_;        // the reader's document; [done_, document_end_) of it is to be handed out next
  size_t done_ = 0, document_end_ = 0;
  Split split_ = Split::kTraining;
  int64_t text_before_ = 0;  // bytes of all documents before this one
};

}  // namespace ingot
