#pragma once
// AddedTokenFinder: finds added tokens in text, as `tokenizers` does before it splits (leftmost, then longest). Raw text
// is searched for the tokens that are not `normalized`; what lies between, normalized, for those that are. Immutable.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tokenizer/model.h"

namespace ingot {

class AddedTokenFinder {
 public:
  // For the tokens whose flag `normalized` is as given. `model` outlives this.
  AddedTokenFinder(const TokenizerModel& model, bool normalized);

  // Whether text can hold a token even where special tokens are not allowed.
  bool finds_ordinary() const { return finds_ordinary_; }

  // Cuts `text` at its tokens: calls on_token(id) and, for what lies between, on_text(part), in order. Where special
  // tokens are not allowed, theirs are passed over as text (and cover the text they stand in, as in `tokenizers`).
  template <typename OnText, typename OnToken>
  void Cut(absl::string_view text, bool allow_special, OnText on_text, OnToken on_token) const {
    if (patterns_.empty() || !(allow_special || finds_ordinary_)) return on_text(text);
    size_t done = 0;
    Match match;
    for (size_t from = 0; Find(text, from, match); from = match.end) {
      const AddedToken& token = *match.token;
      if ((token.special && !allow_special) || (token.single_word && TouchesWord(text, match))) continue;
      const size_t begin = token.lstrip ? SpaceBefore(text, match.begin, done) : match.begin;
      if (done < begin) on_text(text.substr(done, begin - done));
      on_token(token.id);
      done = token.rstrip ? SpaceAfter(text, match.end) : match.end;
    }
    if (done < text.size()) on_text(text.substr(done));
  }

 private:
  struct Pattern {
    std::string spelling;
    const AddedToken* token;
  };
  struct Match {
    size_t begin, end;
    const AddedToken* token;
  };

  bool Find(absl::string_view text, size_t from, Match& match) const;
  bool MayBegin(absl::string_view text, size_t at) const;
  size_t NextFirstByte(absl::string_view text, size_t from) const;
  static bool TouchesWord(absl::string_view text, const Match& match);
  // Where the white space that ends at `end` begins, not before `least`; where that which begins at `begin` ends.
  static size_t SpaceBefore(absl::string_view text, size_t end, size_t least);
  static size_t SpaceAfter(absl::string_view text, size_t begin);

  std::vector<Pattern> patterns_;              // longest first
  std::vector<uint8_t> first_bytes_;           // distinct ones
  std::array<std::vector<int>, 256> by_byte_;  // patterns by their first byte, longest first
  std::vector<uint64_t> begins_;               // bit first byte + 256 * second byte
  bool finds_ordinary_ = false;
};

}  // namespace ingot
