#include "tokenizer/long_piece_cache.h"

#include <algorithm>
#include <cstring>

#include "absl/hash/hash.h"
#include "core/base/check.h"

namespace ingot {
namespace {

constexpr uint64_t kHeader = 2;  // words before the ids of a record

uint64_t WordsOf(size_t bytes, size_t ids) { return kHeader + ids + (bytes + 3) / 4; }

}  // namespace

// The ring is not cleared: a record is read only after it was written. The sets come from calloc, whose pages cost
// nothing before they are used: most texts have few long pieces.
LongPieceCache::LongPieceCache(int ring_bits, int set_bits)
    : ring_mask_((uint64_t{1} << ring_bits) - 1),
      set_mask_((uint64_t{1} << set_bits) - 1),
      head_(ring_mask_ + 1),
      ring_(new int32_t[ring_mask_ + 1]),
      sets_(static_cast<Set*>(std::calloc(set_mask_ + 1, sizeof(Set)))) {
  INGOT_CHECK(sets_ != nullptr, "no memory for a cache of %zu bytes", sizeof(Set) << set_bits);
  INGOT_CHECK(WordsOf(kLongest, kLongest) <= ring_mask_ + 1, "a ring of %d bits is shorter than a record", ring_bits);
}

uint64_t LongPieceCache::HashOf(absl::string_view piece) { return absl::Hash<absl::string_view>()(piece); }

bool LongPieceCache::Find(absl::string_view piece, uint64_t hash, std::vector<int32_t>& ids) const {
  for (const Entry& entry : sets_[hash & set_mask_].entries) {
    if (entry.hash != hash || !Holds(entry)) continue;
    const int32_t* const record = ring_.get() + (entry.position & ring_mask_);
    const int32_t* const first = record + kHeader;
    const int32_t* const last = first + record[1];
    if (static_cast<size_t>(record[0]) != piece.size() || std::memcmp(last, piece.data(), piece.size()) != 0) continue;
    ids.insert(ids.end(), first, last);
    return true;
  }
  return false;
}

void LongPieceCache::Insert(absl::string_view piece, uint64_t hash, std::span<const int32_t> ids) {
  const uint64_t words = WordsOf(piece.size(), ids.size());
  const uint64_t left = ring_mask_ + 1 - (head_ & ring_mask_);
  if (words > left) head_ += left;  // a record does not go over the ring's end
  int32_t* const record = ring_.get() + (head_ & ring_mask_);
  record[0] = static_cast<int32_t>(piece.size());
  record[1] = static_cast<int32_t>(ids.size());
  std::copy(ids.begin(), ids.end(), record + kHeader);
  std::memcpy(record + kHeader + ids.size(), piece.data(), piece.size());
  Set& set = sets_[hash & set_mask_];
  Entry* const oldest = std::min_element(std::begin(set.entries), std::end(set.entries),
                                         [](const Entry& a, const Entry& b) { return a.position < b.position; });
  *oldest = {hash, head_};
  head_ += words;
}

}  // namespace ingot
