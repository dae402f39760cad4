#pragma once
// PairTable: pair of ids → merge. Open addressing with linear probing, at most half full. Most pairs do not merge: a
// filter of 8 to 16 bits a merge, small enough for the nearest caches, answers for nine in ten of them.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "tokenizer/model.h"

namespace ingot {

inline constexpr int32_t kNoRank = std::numeric_limits<int32_t>::max();

struct RankedMerge {
  int32_t rank;  // kNoRank: the pair does not merge
  int32_t result;
};

class PairTable {
 public:
  explicit PairTable(const std::vector<Merge>& merges);

  size_t merges() const { return merges_; }

  RankedMerge Find(int32_t left, int32_t right) const {
    const uint64_t hash = Hash(left, right);
    const uint64_t bit = hash >> filter_shift_;
    if ((filter_[bit / 64] >> (bit % 64) & 1) == 0) return {kNoRank, -1};
    for (size_t slot = Slot(hash);; slot = (slot + 1) & mask_) {
      const Entry& entry = entries_[slot];
      if (entry.left == left && entry.right == right) return {entry.rank, entry.result};
      if (entry.left < 0) return {kNoRank, -1};
    }
  }

 private:
  struct Entry {
    int32_t left = -1, right = -1, rank = kNoRank, result = -1;
  };
  static uint64_t Hash(int32_t left, int32_t right) {
    const uint64_t pair = static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
    return pair * 0x9E3779B97F4A7C15ull;  // the golden ratio: high bits depend on all of the pair
  }
  size_t Slot(uint64_t hash) const { return (hash >> 32) & mask_; }

  size_t merges_;
  size_t mask_;
  int filter_shift_;
  std::vector<uint64_t> filter_;  // bit hash >> filter_shift_ is set for every merge
  std::vector<Entry> entries_;
};

}  // namespace ingot
