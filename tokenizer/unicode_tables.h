#pragma once
// Classes of code points as the split patterns know them: \p{L}, \p{N}, \s, and all the rest. Unicode 16.0, the version
// of Hugging Face `tokenizers` and of `tiktoken`; another version would move piece borders, so it is pinned here and
// not taken from a library. The table is made by tools/generate_unicode_tables.py.
#include <cstdint>

namespace ingot {

enum class CharClass : uint8_t { kOther = 0, kLetter = 1, kNumber = 2, kSpace = 3 };

// Blocks of 256 code points; from U+32400 on, everything is kOther.
inline constexpr uint32_t kUnicodeBlocks = 804;
extern const uint8_t kUnicodeBlock[kUnicodeBlocks];
extern const uint64_t kUnicodeClasses[];

inline CharClass ClassOf(uint32_t code_point) {
  const uint32_t block = code_point >> 8;
  if (block >= kUnicodeBlocks) return CharClass::kOther;
  const uint64_t word = kUnicodeClasses[kUnicodeBlock[block] * 8 + ((code_point >> 5) & 7)];
  return static_cast<CharClass>(word >> (2 * (code_point & 31)) & 3);
}

}  // namespace ingot
