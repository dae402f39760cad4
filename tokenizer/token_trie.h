#pragma once
// TokenTrie: the longest token that a text begins with, one memory access a byte. A double array: the child of a node
// by byte c stands at place (node's base) ^ c and carries c as its label; no two nodes have the same base, so that the
// label alone says whether a place is that child.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace ingot {

class TokenTrie {
 public:
  // Of the tokens with these ids, at most kMostTokens; all 256 single bytes must be among them.
  static constexpr size_t kMostTokens = (size_t{1} << 24) - 1;
  TokenTrie(const std::vector<std::string>& tokens, const std::vector<int32_t>& ids);

  struct Match {
    int32_t id;
    const uint8_t* end;
  };

  // The longest token at `p` < `end`.
  Match Longest(const uint8_t* p, const uint8_t* end) const {
    Match match = {-1, p};
    uint64_t unit = root_;
    while (p < end) {
      const uint32_t c = *p++;
      unit = units_[BaseOf(unit) ^ c];
      if (LabelOf(unit) != c) break;
      if (TokenOf(unit) != kNoToken) match = {static_cast<int32_t>(TokenOf(unit)), p};
    }
    return match;
  }

  // The longest token that `bytes` begins with and is not all of it; -1 if there is none.
  int32_t LongestProperPrefix(absl::string_view bytes) const;

 private:
  // A place: base in the upper 31 bits, token in 24 bits, label in 9 bits (kNoLabel: empty).
  static constexpr uint32_t kNoToken = (1u << 24) - 1, kNoLabel = 256;
  static uint32_t BaseOf(uint64_t unit) { return static_cast<uint32_t>(unit >> 33); }
  static uint32_t TokenOf(uint64_t unit) { return static_cast<uint32_t>(unit >> 9) & kNoToken; }
  static uint32_t LabelOf(uint64_t unit) { return static_cast<uint32_t>(unit) & 511; }
  static uint64_t UnitOf(uint64_t base, uint64_t token, uint64_t label) { return base << 33 | token << 9 | label; }

  friend class TokenTrieBuilder;
  std::vector<uint64_t> units_;
  uint64_t root_;
};

}  // namespace ingot
