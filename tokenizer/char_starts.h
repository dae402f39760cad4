#pragma once
// CharStarts: where the merging of a piece may begin. By the rule it begins with single bytes; but what the bytes of one
// character merge to before anything can join it to a neighbour is the same in every text, so merging may begin there:
// with one token for most characters of a vocabulary's own scripts.
//
// Why that is exact. Let every token be made by one merge only, and every merge use tokens of lower ranks (else no
// starts are used). Then merging a piece goes through the ranks in order. Take a character's merges on its own, ranks
// q1 < q2 < …; the k-th one is safe if no merge of a rank below qk joins the character's last token at that moment to a
// token that begins a character, nor one that ends a character to its first. As long as merges are safe, the character
// comes to them in any text, whatever stands beside it. Doing them first changes nothing: a merge of a token that they
// make has a higher rank than they have, and one of a token that they use would have come before them.
#include <array>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "tokenizer/model.h"

namespace ingot {

class PairTable;

class CharStarts {
 public:
  CharStarts(const TokenizerModel& model, const std::array<int32_t, 256>& byte_ids, const PairTable& pairs);

  // Writes the tokens to begin with, at most piece.size(), and returns their number; 0 if the piece holds bytes that are
  // not UTF-8, or the vocabulary allows no starts: then begin with bytes.
  size_t Begin(absl::string_view piece, int32_t* tokens) const;

 private:
  struct Parts {
    std::array<int32_t, 3> tokens;
    int32_t count;
  };
  static constexpr int32_t kNoStart = INT32_MIN;  // begin with the bytes

  // The start of the character of these bytes, alone.
  int32_t StartOf(absl::string_view bytes, const PairTable& pairs, const std::vector<int32_t>& joins_next,
                  const std::vector<int32_t>& joins_previous);

  std::array<int32_t, 256> byte_ids_;
  std::vector<int32_t> starts_;  // by code point below U+10000: a token, ~place in parts_, or kNoStart; empty: unusable
  std::vector<Parts> parts_;
};

}  // namespace ingot
