#pragma once
// Words as decontamination compares them: case of ASCII letters, punctuation, symbols and marks do not count; white
// space (Unicode's) separates; Han, Hiragana and Katakana characters are words of their own, since nothing separates
// words there. Bytes that are not UTF-8 are passed over.
#include <cstdint>

#include "absl/strings/string_view.h"

namespace ingot {

class WordHashes {
 public:
  explicit WordHashes(absl::string_view text)
      : at_(reinterpret_cast<const uint8_t*>(text.data())), end_(at_ + text.size()) {}

  // The hash of the next word's letters and digits; false at the end.
  bool Next(uint64_t& hash);

 private:
  const uint8_t *at_, *end_;
};

}  // namespace ingot
