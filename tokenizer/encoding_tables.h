#pragma once
// EncodingTables: what encoding looks up, derived from a model once and shared by all its encoders. Immutable.
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/model.h"

namespace ingot {

inline constexpr int32_t kNoRank = std::numeric_limits<int32_t>::max();

struct RankedMerge {
  int32_t rank;  // kNoRank: the pair does not merge
  int32_t result;
};

// Pair of ids → merge. Open addressing with linear probing, at most half full. Most pairs do not merge: a filter of 8 to
// 16 bits a merge, small enough for the nearest caches, answers for nine in ten of them.
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

// Token bytes → id, for pieces that are one token as they stand.
class WholePieceTable {
 public:
  explicit WholePieceTable(const std::vector<std::string>& tokens);
  void Insert(int32_t id);
  // -1 if `piece` is none of the tokens inserted.
  int32_t Find(absl::string_view piece) const;

 private:
  const std::vector<std::string>& tokens_;
  size_t longest_ = 0;
  size_t mask_;
  std::vector<int32_t> slots_;
};

struct EncodingTables {
  explicit EncodingTables(std::shared_ptr<const TokenizerModel> of);

  std::shared_ptr<const TokenizerModel> model;
  std::array<int32_t, 256> byte_ids{};
  PairTable pairs;
  WholePieceTable whole_pieces;  // the tokens that encoding their own bytes gives
  AddedTokenFinder raw_added, normalized_added;
};

}  // namespace ingot
