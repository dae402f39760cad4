#include "data_pipeline/foreign/corpus.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "data_pipeline/foreign/headers.h"

namespace ingot {
namespace {

constexpr int64_t kIndexHeaderBytes = 34;  // of a Megatron .idx

template <typename T>
T Load(std::span<const std::byte> bytes, int64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);  // arrays of an .idx are not aligned
  return value;
}

// "a/b" of "a/b.idx" and "a/b.bin".
std::string MegatronPrefix(const std::string& path) {
  const bool ending = absl::EndsWith(path, ".idx") || absl::EndsWith(path, ".bin");
  return ending ? path.substr(0, path.size() - 4) : path;
}

}  // namespace

absl::StatusOr<std::optional<ForeignFormat>> DetectForeignFormat(const std::string& path) {
  if (MdsDirectory::Detect(path)) return ForeignFormat::kMds;
  if (FileExists(path)) {
    INGOT_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
    INGOT_ASSIGN_OR_RETURN(const std::optional<ForeignFormat> format, FormatOfMagic(file.bytes(), path));
    if (format) return format;
  }
  const std::string index = MegatronPrefix(path) + ".idx";
  if (!FileExists(index) || index == path) return std::nullopt;
  INGOT_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(index));
  return FormatOfMagic(file.bytes(), index);
}

absl::Status DocumentCutter::Flush(bool ends) {
  const ForeignPiece piece = {.ids = piece_, .begins = begins_, .ends = ends};
  INGOT_RETURN_IF_ERROR(visit_(piece));
  piece_.clear();
  begins_ = ends;
  return absl::OkStatus();
}

absl::Status DocumentCutter::Add(std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    if (std::find(separators_.begin(), separators_.end(), id) != separators_.end()) {
      INGOT_RETURN_IF_ERROR(End());
      continue;
    }
    // A full piece waits for the next id: it may be the document's last.
    if (piece_.size() == kPieceTokens) INGOT_RETURN_IF_ERROR(Flush(false));
    piece_.push_back(id);
  }
  return absl::OkStatus();
}

absl::Status DocumentCutter::End() { return open() ? Flush(true) : absl::OkStatus(); }

absl::Status ForeignCorpus::OpenMds(const MdsOptions& options) {
  INGOT_ASSIGN_OR_RETURN(mds_, MdsDirectory::Open(path_, options));
  mds_joined_ = options.joined;
  info_ = {.format = ForeignFormat::kMds,
           .token = ForeignToken::kI32,
           .vocabulary = int64_t{1} << 31,
           .samples = mds_->samples()};
  return absl::OkStatus();
}

absl::StatusOr<ForeignCorpus> ForeignCorpus::Open(const std::string& path, ForeignFormat format,
                                                  const MdsOptions& mds) {
  if (format == ForeignFormat::kMds) {
    ForeignCorpus corpus(path);
    INGOT_RETURN_IF_ERROR(corpus.OpenMds(mds));
    return corpus;
  }
  const bool indexed = format == ForeignFormat::kMegatron;
  const std::string tokens_path = indexed ? MegatronPrefix(path) + ".bin" : path;
  ForeignCorpus corpus(tokens_path);
  INGOT_ASSIGN_OR_RETURN(corpus.tokens_, MappedFile::Open(tokens_path));
  if (indexed) {
    INGOT_ASSIGN_OR_RETURN(corpus.index_, MappedFile::Open(MegatronPrefix(path) + ".idx"));
    INGOT_RETURN_IF_ERROR(corpus.ReadIndex());
    return corpus;
  }
  INGOT_ASSIGN_OR_RETURN(corpus.info_, ParseForeignHeader(corpus.tokens_->bytes(), format, tokens_path));
  return corpus;
}

absl::Status ForeignCorpus::ReadIndex() {
  INGOT_ASSIGN_OR_RETURN(info_, ParseMegatronIndex(index_->bytes(), MegatronPrefix(path_) + ".idx"));
  const auto size = static_cast<int64_t>(tokens_->bytes().size());
  info_.tokens = size / info_.token_bytes();
  if (size % info_.token_bytes() == 0) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path_, ": ", size, " bytes are no whole number of ids of ",
                                          info_.token_bytes(), " bytes: truncated, or of another index"));
}

int64_t ForeignCorpus::files() const {
  if (mds_) return mds_->files();
  return index_ ? 2 : 1;
}

int64_t ForeignCorpus::file_bytes() const {
  if (mds_) return mds_->file_bytes();
  return static_cast<int64_t>(tokens_->bytes().size() + (index_ ? index_->bytes().size() : 0));
}

void ForeignCorpus::Copy(int64_t first, int64_t count, int32_t* ids) const {
  INGOT_CHECK(first >= 0 && count >= 0 && count <= info_.tokens - first, "tokens %lld + %lld of %lld",
              static_cast<long long>(first), static_cast<long long>(count), static_cast<long long>(info_.tokens));
  const std::byte* tokens = tokens_->bytes().data() + info_.tokens_offset + first * info_.token_bytes();
  if (info_.token_bytes() == 4) {
    if (count > 0) std::memcpy(ids, tokens, static_cast<size_t>(count) * 4);
  } else {
    const auto* narrow = reinterpret_cast<const uint16_t*>(tokens);  // headers are of even size
    std::copy(narrow, narrow + count, ids);
  }
}

absl::Status ForeignCorpus::CutRange(Range range, int64_t vocabulary, DocumentCutter& cutter) const {
  constexpr int64_t kChunk = 1 << 14;  // stays in the first-level cache
  std::vector<int32_t> ids(static_cast<size_t>(std::min(kChunk, range.count)));
  for (int64_t done = 0; done < range.count; done += kChunk) {
    const int64_t count = std::min(kChunk, range.count - done);
    Copy(range.first + done, count, ids.data());
    const std::span<const int32_t> chunk = std::span(ids).first(static_cast<size_t>(count));
    const auto outside =
        std::find_if(chunk.begin(), chunk.end(), [&](int32_t id) { return static_cast<uint32_t>(id) >= vocabulary; });
    if (outside != chunk.end()) {
      return absl::InvalidArgumentError(absl::StrCat(
          path_, ": token ", range.first + done + (outside - chunk.begin()), " is id ", static_cast<uint32_t>(*outside),
          ", outside the vocabulary of ", vocabulary, ": damaged, or made with another tokenizer or token type"));
    }
    INGOT_RETURN_IF_ERROR(cutter.Add(chunk));
  }
  return absl::OkStatus();
}

absl::StatusOr<ForeignCorpus::Range> ForeignCorpus::Sequence(int64_t s) const {
  INGOT_CHECK(index_ && s >= 0 && s < info_.sequences, "sequence %lld", static_cast<long long>(s));
  const auto length = Load<int32_t>(index_->bytes(), kIndexHeaderBytes + 4 * s);
  const auto offset = Load<int64_t>(index_->bytes(), kIndexHeaderBytes + 4 * info_.sequences + 8 * s);
  const Range range = {.first = offset / info_.token_bytes(), .count = length};
  if (length >= 0 && offset >= 0 && offset % info_.token_bytes() == 0 && range.first <= info_.tokens &&
      range.count <= info_.tokens - range.first) {
    return range;
  }
  return absl::DataLossError(absl::StrCat(MegatronPrefix(path_), ".idx: sequence ", s, " is ", length,
                                          " tokens from byte ", offset, "; ", path_, " holds ", info_.tokens,
                                          " tokens: truncated or damaged"));
}

absl::Status ForeignCorpus::CutByIndex(DocumentCutter& cutter, int64_t vocabulary) const {
  const int64_t entries = kIndexHeaderBytes + 12 * info_.sequences;
  int64_t sequence = 0;
  for (int64_t d = 0; d <= info_.documents; ++d) {
    // Entry 0 is 0 and the last is the number of sequences; between them they never fall.
    const auto end = Load<int64_t>(index_->bytes(), entries + 8 * d);
    const bool fixed = d == 0 || d == info_.documents;
    const bool good = fixed ? end == (d == 0 ? 0 : info_.sequences) : end >= sequence && end <= info_.sequences;
    if (!good) {
      return absl::DataLossError(absl::StrCat(MegatronPrefix(path_), ".idx: entry ", d, " of the document array is ",
                                              end, " after ", sequence, ", of ", info_.sequences,
                                              " sequences: damaged"));
    }
    for (; sequence < end; ++sequence) {
      INGOT_ASSIGN_OR_RETURN(const Range range, Sequence(sequence));
      INGOT_RETURN_IF_ERROR(CutRange(range, vocabulary, cutter));
    }
    INGOT_RETURN_IF_ERROR(cutter.End());
  }
  return absl::OkStatus();
}

absl::Status ForeignCorpus::CutInto(DocumentCutter& cutter, int64_t vocabulary) const {
  vocabulary = std::min(vocabulary, info_.vocabulary);
  if (mds_) {
    return mds_->ForEachSample(vocabulary, [&](std::span<const int32_t> ids) -> absl::Status {
      INGOT_RETURN_IF_ERROR(cutter.Add(ids));
      return mds_joined_ ? absl::OkStatus() : cutter.End();
    });
  }
  return index_ ? CutByIndex(cutter, vocabulary) : CutRange({.count = info_.tokens}, vocabulary, cutter);
}

bool ForeignCorpus::BeginsInsideDocument(std::span<const int32_t> separators) const {
  if (!info_.separator_before || info_.tokens == 0) return false;
  int32_t first = 0;
  Copy(0, 1, &first);
  return std::find(separators.begin(), separators.end(), first) == separators.end();
}

}  // namespace ingot
