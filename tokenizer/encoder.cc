// Encoder: pieces of a batch are hashed first and looked up after, so that the cache's misses overlap.
#include <algorithm>
#include <array>
#include <cstring>

#include "tokenizer/encoding_tables.h"
#include "tokenizer/merging.h"
#include "tokenizer/model.h"
#include "tokenizer/normalization.h"
#include "tokenizer/piece_cache.h"
#include "tokenizer/piece_key.h"
#include "tokenizer/tokenizer.h"

namespace ingot {
namespace {

constexpr size_t kBatch = 128;  // pieces between hashing and look-up

}  // namespace

struct Encoder::State {
  explicit State(std::shared_ptr<const EncodingTables> shared)
      : tables(std::move(shared)), cache(tables->token_cache) {}

  void Encode(absl::string_view text, bool allow_special, std::vector<int32_t>& ids);
  // Text between added tokens that are not `normalized`.
  void EncodeRaw(absl::string_view text, bool allow_special, std::vector<int32_t>& ids);
  // Text without added tokens.
  void EncodePieces(absl::string_view text, std::vector<int32_t>& ids);
  void EncodeBatch(absl::string_view text, size_t begin, size_t count, std::vector<int32_t>& ids);
  // The ids of a piece by the table of whole tokens or by merging.
  void EncodeAnew(absl::string_view piece, std::vector<int32_t>& ids);
  // Appends the ids of a piece that the cache does not hold.
  void EncodeMiss(absl::string_view piece, const PieceKey& key, std::vector<int32_t>& ids);

  std::shared_ptr<const EncodingTables> tables;
  PieceCache cache;
  std::array<size_t, kBatch> ends;
  std::array<PieceKey, kBatch> keys;
  MergeScratch scratch;
  BacktrackingScratch backtracking_scratch;
  std::string normalized;
};

void Encoder::State::Encode(absl::string_view text, bool allow_special, std::vector<int32_t>& ids) {
  tables->raw_added.Cut(
      text, allow_special, [&](absl::string_view part) { EncodeRaw(part, allow_special, ids); },
      [&](int32_t id) { ids.push_back(id); });
}

void Encoder::State::EncodeRaw(absl::string_view text, bool allow_special, std::vector<int32_t>& ids) {
  tables->normalized_added.Cut(
      tables->model->nfc ? NormalizeNfc(text, normalized) : text, allow_special,
      [&](absl::string_view part) { EncodePieces(part, ids); }, [&](int32_t id) { ids.push_back(id); });
}

void Encoder::State::EncodePieces(absl::string_view text, std::vector<int32_t>& ids) {
  for (size_t begin = 0; begin < text.size();) {
    const size_t count = SplitText(tables->model->pattern, text, begin, ends);
    EncodeBatch(text, begin, count, ids);
    begin = ends[count - 1];
  }
}

void Encoder::State::EncodeBatch(absl::string_view text, size_t begin, size_t count, std::vector<int32_t>& ids) {
  const char* const end = text.data() + text.size();
  size_t at = begin;
  for (size_t i = 0; i < count; ++i) {
    const absl::string_view piece = text.substr(at, ends[i] - at);
    if (piece.size() <= PieceKey::kMaxBytes) [[likely]] {
      keys[i] = MakePieceKey(piece.data(), piece.size(), end);
      cache.Prefetch(keys[i]);
    } else {
      keys[i] = {};
    }
    at = ends[i];
  }
  // Four ids are stored for every hit, whatever it has: the batch's room is made once, the rest is cut off.
  size_t filled = ids.size();
  ids.resize(filled + count * PieceCache::kMostIds);
  at = begin;
  for (size_t i = 0; i < count; ++i) {
    if (const int32_t* const known = cache.Find(keys[i])) [[likely]] {
      std::memcpy(ids.data() + filled, known, PieceCache::kMostIds * sizeof(int32_t));
      filled += 1 + (known[1] >= 0) + (known[2] >= 0) + (known[3] >= 0);
    } else {
      ids.resize(filled);
      EncodeMiss(text.substr(at, ends[i] - at), keys[i], ids);
      filled = ids.size();
      ids.resize(filled + (count - i) * PieceCache::kMostIds);
    }
    at = ends[i];
  }
  ids.resize(filled);
}

void Encoder::State::EncodeAnew(absl::string_view piece, std::vector<int32_t>& ids) {
  const int32_t whole = tables->whole_pieces.Find(piece);
  if (whole >= 0) {
    ids.push_back(whole);
  } else if (tables->backtracking) {
    tables->backtracking->Encode(piece, backtracking_scratch, ids);
  } else {
    MergePiece(tables->byte_ids, tables->pairs, piece, scratch, ids);
  }
}

void Encoder::State::EncodeMiss(absl::string_view piece, const PieceKey& key, std::vector<int32_t>& ids) {
  if (piece.size() > PieceKey::kMaxBytes) return EncodeAnew(piece, ids);
  const size_t first = ids.size();
  EncodeAnew(piece, ids);
  const size_t count = ids.size() - first;
  if (count <= PieceCache::kMostIds) cache.Insert(key, {ids.data() + first, count});
}

Encoder::Encoder(const Tokenizer& tokenizer) : state_(std::make_unique<State>(tokenizer.tables_)) {}
Encoder::~Encoder() = default;
Encoder::Encoder(Encoder&&) noexcept = default;
Encoder& Encoder::operator=(Encoder&&) noexcept = default;

void Encoder::Encode(absl::string_view text, std::vector<int32_t>& ids) { state_->Encode(text, false, ids); }

void Encoder::EncodeWithSpecialTokens(absl::string_view text, std::vector<int32_t>& ids) {
  state_->Encode(text, true, ids);
}

}  // namespace ingot
