#pragma once
// Backtracking: byte-pair merging of one piece from left to right, in linear time, with the result of merging by ranks.
//
// Why that is exact. A merge that is done is the lowest there is anywhere, so also the lowest within any range that it
// lies in: as long as no merge crosses the range's ends, the range is merged as it would be alone. Call a token own if
// merging its bytes gives it, and two tokens compatible if merging the bytes of both gives the two. So the ids of a text
// are own, and each is compatible with the next. And there is only one such sequence: in any other text, the first merge
// that crosses a border between two tokens would also be done if these two stood alone. So the longest token that fits
// is taken; where it is not compatible with the one before, a shorter one; where none is, the one before was wrong. A
// place at which that happens is not tried again: the ids of what lies before it are unique, so it cannot be reached in
// another way.
//
// Whether two tokens are compatible is seen by undoing their merges from the last to the first: they are not if the
// tokens at the border, while both stand, merge before either is used otherwise. That needs ranks to be an order of
// time: every merge has a higher rank than all those that make its parts.
// Source of the method: the `bpe` crate of github/rust-gems (its description; the code here is our own).
#include <cstdint>
#include <optional>
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
  // Whether every merge has a higher rank than those that make its parts, and no token is so long that looking for the
  // longest one at every place could be slow.
  static bool Serves(const TokenizerModel& model);

  // A model that it serves; `pairs` are its merges.
  Backtracking(const TokenizerModel& model, const PairTable& pairs);

  // Whether merging the bytes of `id` gives `id`.
  bool IsOwn(int32_t id) const { return prefixes_[id].size > 0; }

  // Appends the ids of `piece`, which is not empty.
  void Encode(absl::string_view piece, BacktrackingScratch& scratch, std::vector<int32_t>& ids) const;

 private:
  // The last merge that makes an own token of its bytes.
  struct Origin {
    int32_t left = -1, right = -1;
    int32_t rank = -1;  // a single byte
  };
  struct Prefix {
    int32_t shorter = -1;  // the longest own token that this one begins with and is not; -1: none
    uint32_t size = 0;     // bytes of this one; 0: not own
  };
  class Run;

  // The own tokens, by id.
  std::vector<int32_t> FindOwn(const TokenizerModel& model);
  // Whether no merge of a rank below `limit` crosses the border between two own tokens.
  bool AreCompatible(int32_t left, int32_t right, int32_t limit = kNoRank) const;

  const PairTable& pairs_;
  std::vector<Origin> origins_;
  std::vector<Prefix> prefixes_;
  std::optional<TokenTrie> trie_;
};

}  // namespace ingot
