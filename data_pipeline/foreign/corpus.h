#pragma once
// ForeignCorpus: token files that other trainers' tools made, mapped and read in place (docs/foreign_formats.md).
// Immutable and mapped: share it between threads. Any bytes at all may be opened and read: sizes and counts are checked
// in 64 bits against the files before anything is allocated or read.
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/file.h"
#include "data_pipeline/foreign/mds.h"

namespace ingot {

enum class ForeignFormat { kMegatron, kLlmC, kNanoGpt, kLlmq, kMds };
enum class ForeignToken { kU16, kI32, kU32 };

// "megatron", "llm.c", "nanogpt", "llmq", "mds".
const char* Name(ForeignFormat format);
const char* Name(ForeignToken token);
absl::StatusOr<ForeignFormat> ParseForeignFormat(absl::string_view name);

// The format that the first bytes of PATH (for Megatron: of its .idx; for MDS: of its index.json) name; none for raw tokens and for what is not
// tokens at all. Files that are known but cannot be read, fairseq's say, are errors.
absl::StatusOr<std::optional<ForeignFormat>> DetectForeignFormat(const std::string& path);

// What headers and sizes say.
struct ForeignInfo {
  ForeignFormat format = ForeignFormat::kNanoGpt;
  ForeignToken token = ForeignToken::kU16;
  int64_t tokens = 0;                     // in the file of tokens
  int64_t tokens_offset = 0;              // of the first, in bytes
  int64_t vocabulary = int64_t{1} << 16;  // every id must be below
  int32_t separator = -1;                 // the id that the format's own tools put between documents, -1: not known
  bool separator_before = false;          // it stands before each document, and files may begin inside a document
  bool has_masks = false;                 // LLMQ: a loss mask follows the tokens
  int64_t sequences = 0, documents = 0;   // Megatron: of the index
  int64_t samples = 0;                    // MDS: of the index; how many tokens they are is not known

  int64_t token_bytes() const { return token == ForeignToken::kU16 ? 2 : 4; }
};

// A document in pieces of at most kPieceTokens ids: it `begins` with its first and `ends` with its last.
struct ForeignPiece {
  std::span<const int32_t> ids;  // never empty
  bool begins = false, ends = false;
};

// Cuts a stream of ids into documents. Separators belong to no document; documents without ids are left out.
class DocumentCutter {
 public:
  static constexpr size_t kPieceTokens = 1 << 16;
  using Visit = std::function<absl::Status(const ForeignPiece&)>;

  // Each of `separators` ends a document.
  DocumentCutter(std::vector<int32_t> separators, Visit visit)
      : separators_(std::move(separators)), visit_(std::move(visit)) {}

  absl::Status Add(std::span<const int32_t> ids);
  // Ends the document that is open, if one is.
  absl::Status End();
  bool open() const { return !piece_.empty(); }

 private:
  absl::Status Flush(bool ends);

  std::vector<int32_t> separators_;
  Visit visit_;
  std::vector<int32_t> piece_;  // holds an id at least while a document is open
  bool begins_ = true;
};

class ForeignCorpus {
 public:
  // PATH is a file of `format`; for Megatron its .idx, its .bin, or both without the ending; for MDS the directory.
  static absl::StatusOr<ForeignCorpus> Open(const std::string& path, ForeignFormat format, const MdsOptions& mds = {});

  const ForeignInfo& info() const { return info_; }
  const std::string& path() const { return path_; }
  int64_t files() const;
  int64_t file_bytes() const;

  // Ids [first, first + count) of the file of tokens, unchecked: an id of 2^31 or more comes out negative.
  void Copy(int64_t first, int64_t count, int32_t* ids) const;
  // Hands all ids to `cutter`, and for Megatron and MDS the ends of documents. The last document of other formats stays open:
  // the next file may continue it. An id outside [0, vocabulary) is an error that names file, place and id.
  absl::Status CutInto(DocumentCutter& cutter, int64_t vocabulary) const;
  // Whether the first token continues the last document of the file before.
  bool BeginsInsideDocument(std::span<const int32_t> separators) const;

  struct Range {
    int64_t first = 0, count = 0;
  };
  // Megatron: the tokens of sequence `s`. Outside of the file of tokens: an error.
  absl::StatusOr<Range> Sequence(int64_t s) const;

 private:
  explicit ForeignCorpus(std::string path) : path_(std::move(path)) {}
  absl::Status OpenMds(const MdsOptions& options);
  absl::Status ReadIndex();
  absl::Status CutRange(Range range, int64_t vocabulary, DocumentCutter& cutter) const;
  absl::Status CutByIndex(DocumentCutter& cutter, int64_t vocabulary) const;

  std::string path_;
  ForeignInfo info_;
  std::optional<MappedFile> tokens_;  // none for MDS
  std::optional<MappedFile> index_;   // of Megatron
  std::optional<MdsDirectory> mds_;
  bool mds_joined_ = false;
};

}  // namespace ingot
