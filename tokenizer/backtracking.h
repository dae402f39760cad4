#pragma once
// Backtracking: byte-pair merging of one piece from left to right, in linear time, with the result of merging by ranks.
//
// Why that is exact. Let every token be made by one merge only, and every merge use tokens of lower ranks. Call two
// tokens compatible if merging the bytes of both gives the two. Then the ids of a text are the only sequence of tokens
// that merging their own bytes gives, each compatible with the next. So the longest token that fits is taken; where it
// is not compatible with the one before, a shorter one; where none is, the one before was wrong. A place at which that
// happens is not tried again: the ids of what lies before it are unique, so it cannot be reached in another way.
//
// Whether two tokens are compatible is seen by undoing their merges from the last to the first: they are not if the
// tokens at the border, while both stand, merge before either is used otherwise.
// Source of the method: the `bpe` crate of github/rust-gems (its description; the code here is our own).
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "tokenizer/model.h"
#include "tokenizer/pair_table.h"
#include "tokenizer/token_trie.h"

namespace ingot {

// Memory that is used again and again: nothing is allocated for a piece once it has grown. One a thread, and of one
// vocabulary only.
struct BacktrackingScratch {
  static constexpr int kPairBits = 14;
  std::vector<uint64_t> pairs;  // pairs known to be compatible, as left << 32 | right, at a place by their hash
  std::vector<uint64_t> dead;   // a bit for every place of the piece
};

class Backtracking {
 public:
  // `own` holds the ordinary tokens that merging their own bytes gives, all single bytes among them.
  Backtracking(const TokenizerModel& model, const PairTable& pairs, const std::vector<int32_t>& own);

  // Whether every token is made by one merge, of tokens that are bytes or made at lower ranks, and none is so long that
  // looking for the longest one at every place could be slow.
  static bool Serves(const TokenizerModel& model);

  // Appends the ids of `piece`, which is not empty.
  void Encode(absl::string_view piece, BacktrackingScratch& scratch, std::vector<int32_t>& ids) const;

 private:
  // The merge that makes a token.
  struct Origin {
    int32_t left = -1, right = -1;
    int32_t rank = -1;  // a single byte
  };
  struct Prefix {
    int32_t shorter = -1;  // the longest token that this one begins with and is not; -1: none
    uint32_t size = 0;     // bytes of this one
  };
  class Run;

  bool AreCompatible(int32_t left, int32_t right) const;

  const PairTable& pairs_;
  std::vector<Origin> origins_;
  std::vector<Prefix> prefixes_;
  TokenTrie trie_;
};

}  // namespace ingot
