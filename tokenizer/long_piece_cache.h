#pragma once
// LongPieceCache: ids of pieces too long for the encoder's first cache. Bounded: keys and ids lie in a ring that
// overwrites its oldest records, entries in sets of four that lose their oldest. Nothing is allocated after it is made.
// Not thread-safe: one an encoder.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "absl/strings/string_view.h"

namespace ingot {

class LongPieceCache {
 public:
  static constexpr size_t kLongest = 4096;  // bytes of a piece; longer ones are not kept

  // The ring has 2^ring_bits words of 4 bytes and the table 2^set_bits sets. Its pages are used as pieces come.
  explicit LongPieceCache(int ring_bits = 22, int set_bits = 16);

  // Appends the ids of `piece` to `ids` if it is here. `hash` is HashOf(piece); equal hashes of other bytes are told
  // apart by the bytes.
  bool Find(absl::string_view piece, uint64_t hash, std::vector<int32_t>& ids) const;
  // Starts reading what Find() looks at first.
  void Prefetch(uint64_t hash) const { __builtin_prefetch(&sets_[hash & set_mask_]); }
  // Keeps `ids` for `piece`, 1 to kLongest bytes, which Find() did not find.
  void Insert(absl::string_view piece, uint64_t hash, std::span<const int32_t> ids);

  static uint64_t HashOf(absl::string_view piece);

 private:
  struct Entry {
    uint64_t hash;
    uint64_t position;  // of the record, in words ever written; 0: none
  };
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  struct Set {
    Entry entries[4];
  };
  // A record in the ring: bytes of the piece, number of ids, the ids, the bytes.
  bool Holds(const Entry& entry) const { return entry.position != 0 && head_ - entry.position <= ring_mask_ + 1; }

  uint64_t ring_mask_, set_mask_;
  uint64_t head_;  // words ever written; starts at one lap, so that no record is at 0
  std::unique_ptr<int32_t[]> ring_;
  std::unique_ptr<Set[], Free> sets_;
};

}  // namespace ingot
