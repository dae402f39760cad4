// Encoder: pieces of a batch are hashed first and looked up after, so that the cache's misses overlap.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <span>

#include "core/base/check.h"
#include "tokenizer/encoding_tables.h"
#include "tokenizer/merging.h"
#include "tokenizer/model.h"
#include "tokenizer/normalization.h"
#include "tokenizer/tokenizer.h"

namespace ingot {
namespace {

constexpr size_t kBatch = 128;  // pieces between hashing and look-up
constexpr size_t kMaxCachedBytes = 15;
constexpr int kMaxCachedIds = 4;
constexpr int kSetBits = 15;  // 2^15 sets of two entries of 32 bytes: 2 MiB an encoder

// The bytes of a piece and its length, in 16 bytes.
struct PieceKey {
  uint64_t low = 0, high = 0;  // length in the highest byte: 0 is no piece
  bool operator==(const PieceKey&) const = default;
};

struct alignas(64) CacheSet {
  PieceKey keys[2];
  int32_t ids[2][kMaxCachedIds];  // -1 behind the last
};

// `size` bytes at `p`, 1 … kMaxCachedBytes, of a text that ends at `end`.
inline PieceKey MakeKey(const char* p, size_t size, const char* end) {
  uint64_t words[2] = {0, 0};
  if (end - p >= 16) [[likely]] {
    std::memcpy(words, p, 16);
    const uint64_t bits = size * 8;
    if (size <= 8) {
      words[0] &= ~uint64_t{0} >> (64 - bits);
      words[1] = 0;
    } else {
      words[1] &= ~uint64_t{0} >> (128 - bits);
    }
  } else {
    std::memcpy(words, p, size);
  }
  return {words[0], words[1] | static_cast<uint64_t>(size) << 56};
}

inline size_t SetOf(const PieceKey& key) {
  const auto product =
      static_cast<unsigned __int128>(key.low ^ 0x9E3779B97F4A7C15ull) * (key.high * 2 + 0xD1B54A32D192ED03ull);
  return static_cast<size_t>((static_cast<uint64_t>(product >> 64) ^ static_cast<uint64_t>(product)) >>
                             (64 - kSetBits));
}

}  // namespace

struct Encoder::State {
  explicit State(std::shared_ptr<const EncodingTables> shared)
      : tables(std::move(shared)), sets(new CacheSet[size_t{1} << kSetBits]()) {}

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
  std::unique_ptr<CacheSet[]> sets;
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
    if (piece.size() <= kMaxCachedBytes) [[likely]] {
      keys[i] = MakeKey(piece.data(), piece.size(), end);
      __builtin_prefetch(&sets[SetOf(keys[i])]);
    } else {
      keys[i] = {};
    }
    at = ends[i];
  }
  // Four ids are stored for every hit, whatever it has: the batch's room is made once, the rest is cut off.
  size_t filled = ids.size();
  ids.resize(filled + count * kMaxCachedIds);
  at = begin;
  for (size_t i = 0; i < count; ++i) {
    const CacheSet& set = sets[SetOf(keys[i])];
    const int way = set.keys[1] == keys[i] ? 1 : 0;
    if (set.keys[way] == keys[i] && keys[i].high != 0) [[likely]] {
      std::memcpy(ids.data() + filled, set.ids[way], sizeof(set.ids[way]));
      filled += 1 + (set.ids[way][1] >= 0) + (set.ids[way][2] >= 0) + (set.ids[way][3] >= 0);
    } else {
      ids.resize(filled);
      EncodeMiss(text.substr(at, ends[i] - at), keys[i], ids);
      filled = ids.size();
      ids.resize(filled + (count - i) * kMaxCachedIds);
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
  if (piece.size() > kMaxCachedBytes) return EncodeAnew(piece, ids);
  const size_t first = ids.size();
  EncodeAnew(piece, ids);
  const size_t count = ids.size() - first;
  if (count > kMaxCachedIds) return;
  // The newer entry of a set is the likelier to come again: it moves to the second place, the older one goes.
  CacheSet& set = sets[SetOf(key)];
  set.keys[1] = set.keys[0];
  std::copy(set.ids[0], set.ids[0] + kMaxCachedIds, set.ids[1]);
  set.keys[0] = key;
  for (size_t i = 0; i < kMaxCachedIds; ++i) set.ids[0][i] = i < count ? ids[first + i] : -1;
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
