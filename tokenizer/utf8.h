#pragma once
// Reading UTF-8 that may be broken: a byte that does not begin a valid sequence (truncated, overlong, surrogate, above
// U+10FFFF) is one character of its own.
#include <cstdint>

namespace ingot {

inline constexpr uint32_t kInvalidCodePoint = 0xFFFFFFFF;

struct Utf8Char {
  uint32_t code_point;  // kInvalidCodePoint for a byte that is not UTF-8
  int size;             // bytes, 1 … 4
};

inline bool IsContinuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

// The character at `p`; `end` > `p` bounds the text.
inline Utf8Char ReadUtf8(const uint8_t* p, const uint8_t* end) {
  const uint32_t first = p[0];
  if (first < 0x80) return {first, 1};
  const auto left = end - p;
  if (first >= 0xE0 && first < 0xF0 && left >= 3 && IsContinuation(p[1]) && IsContinuation(p[2])) {
    const uint32_t c = (first & 0x0F) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    if (c >= 0x800 && (c < 0xD800 || c > 0xDFFF)) return {c, 3};
  } else if (first >= 0xC2 && first < 0xE0 && left >= 2 && IsContinuation(p[1])) {
    return {(first & 0x1F) << 6 | (p[1] & 0x3Fu), 2};
  } else if (first >= 0xF0 && first < 0xF5 && left >= 4 && IsContinuation(p[1]) && IsContinuation(p[2]) &&
             IsContinuation(p[3])) {
    const uint32_t c = (first & 0x07) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
    if (c >= 0x10000 && c <= 0x10FFFF) return {c, 4};
  }
  return {kInvalidCodePoint, 1};
}

}  // namespace ingot
