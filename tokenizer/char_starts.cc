#include "tokenizer/char_starts.h"

#include <algorithm>

#include "tokenizer/encoding_tables.h"
#include "tokenizer/utf8.h"

namespace ingot {
namespace {

constexpr uint32_t kFirstWide = 0x80, kEnd = 0x10000;

// Every token is made by one merge, of tokens that are bytes or made at lower ranks.
bool IsInOrder(const TokenizerModel& model) {
  std::vector<int32_t> made_at(model.tokens.size(), -1);
  for (size_t rank = 0; rank < model.merges.size(); ++rank) {
    int32_t& made = made_at[model.merges[rank].result];
    if (made >= 0) return false;
    made = static_cast<int32_t>(rank);
  }
  for (size_t rank = 0; rank < model.merges.size(); ++rank) {
    const Merge& merge = model.merges[rank];
    if (std::max(made_at[merge.left], made_at[merge.right]) >= static_cast<int32_t>(rank)) return false;
  }
  return true;
}

std::string Utf8Of(uint32_t c) {
  if (c < 0x800) return {static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
  return {static_cast<char>(0xE0 | c >> 12), static_cast<char>(0x80 | (c >> 6 & 0x3F)),
          static_cast<char>(0x80 | (c & 0x3F))};
}

}  // namespace

CharStarts::CharStarts(const TokenizerModel& model, const std::array<int32_t, 256>& byte_ids, const PairTable& pairs)
    : byte_ids_(byte_ids) {
  if (!IsInOrder(model)) return;
  // By token: the lowest rank that joins it to a token that begins a character, and to one that ends a character.
  std::vector<int32_t> joins_next(model.tokens.size(), kNoRank), joins_previous(model.tokens.size(), kNoRank);
  for (size_t rank = model.merges.size(); rank-- > 0;) {
    const Merge& merge = model.merges[rank];
    const auto next = static_cast<uint8_t>(model.tokens[merge.right].front());
    const auto previous = static_cast<uint8_t>(model.tokens[merge.left].back());
    if (!IsContinuation(next)) joins_next[merge.left] = static_cast<int32_t>(rank);
    if (previous < 0xC0) joins_previous[merge.right] = static_cast<int32_t>(rank);
  }
  starts_.assign(kEnd, kNoStart);
  for (uint32_t c = kFirstWide; c < kEnd; ++c) {
    if (c < 0xD800 || c > 0xDFFF) starts_[c] = StartOf(Utf8Of(c), pairs, joins_next, joins_previous);
  }
}

int32_t CharStarts::StartOf(absl::string_view bytes, const PairTable& pairs, const std::vector<int32_t>& joins_next,
                            const std::vector<int32_t>& joins_previous) {
  Parts parts = {.tokens = {}, .count = static_cast<int32_t>(bytes.size())};
  for (size_t i = 0; i < bytes.size(); ++i) parts.tokens[i] = byte_ids_[static_cast<uint8_t>(bytes[i])];
  while (parts.count > 1) {
    int32_t at = 0;
    RankedMerge lowest = pairs.Find(parts.tokens[0], parts.tokens[1]);
    if (parts.count == 3) {
      const RankedMerge second = pairs.Find(parts.tokens[1], parts.tokens[2]);
      if (second.rank < lowest.rank) {
        lowest = second;
        at = 1;
      }
    }
    const int32_t crossing = std::min(joins_next[parts.tokens[parts.count - 1]], joins_previous[parts.tokens[0]]);
    if (lowest.rank == kNoRank || lowest.rank > crossing) break;
    parts.tokens[at] = lowest.result;
    if (at == 0) parts.tokens[1] = parts.tokens[2];
    --parts.count;
  }
  if (parts.count == 1) return parts.tokens[0];
  if (parts.count == static_cast<int32_t>(bytes.size())) return kNoStart;
  parts_.push_back(parts);
  return ~static_cast<int32_t>(parts_.size() - 1);
}

size_t CharStarts::Begin(absl::string_view piece, int32_t* tokens) const {
  if (starts_.empty()) return 0;
  const auto* p = reinterpret_cast<const uint8_t*>(piece.data());
  const uint8_t* const end = p + piece.size();
  int32_t* out = tokens;
  while (p < end) {
    if (*p < 0x80) {
      *out++ = byte_ids_[*p++];
      continue;
    }
    const Utf8Char c = ReadUtf8(p, end);
    if (c.code_point == kInvalidCodePoint) return 0;
    const int32_t start = c.code_point < kEnd ? starts_[c.code_point] : kNoStart;
    if (start >= 0) [[likely]] {
      *out++ = start;
    } else if (start == kNoStart) {
      for (int i = 0; i < c.size; ++i) *out++ = byte_ids_[p[i]];
    } else {
      const Parts& parts = parts_[~start];
      for (int32_t i = 0; i < parts.count; ++i) *out++ = parts.tokens[i];
    }
    p += c.size;
  }
  return static_cast<size_t>(out - tokens);
}

}  // namespace ingot
