#pragma once
// Normalization Form C (canonical decomposition, ordering and composition: Unicode Standard Annex 15) with the tables
// of Hugging Face `tokenizers`, which imported tokenizers ask for. Bytes that are not UTF-8 stay as they are and join
// nothing. Thread-safe.
#include <string>

#include "absl/strings/string_view.h"

namespace ingot {

// Whether a character may change under NFC, or join the one before it. What begins with a stable character is
// normalized independently of what stands before.
bool IsUnstable(uint32_t code_point);

// The first byte of `text` from which on it may have to change: its size if it is in NFC already by the quick check.
size_t FindUnstable(absl::string_view text);

// `text` in NFC. Returns `text` itself where the quick check proves that nothing changes; else `scratch` holds the result.
absl::string_view NormalizeNfc(absl::string_view text, std::string& scratch);

// \w as the `single_word` flag of added tokens means it; false for what is not a code point.
bool IsWordCharacter(uint32_t code_point);

}  // namespace ingot
