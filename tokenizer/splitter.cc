#include "tokenizer/splitter.h"

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <bit>

#include "absl/strings/str_cat.h"
#include "tokenizer/ascii_window.h"
#include "tokenizer/normalization.h"
#include "tokenizer/unicode_tables.h"
#include "tokenizer/utf8.h"

namespace ingot {
namespace {

using Byte = uint8_t;

struct Char {
  CharClass type;
  int size;
};

constexpr std::array<CharClass, 128> MakeAsciiClasses() {
  std::array<CharClass, 128> classes{};
  for (int c = 0; c < 128; ++c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) classes[c] = CharClass::kLetter;
    if (c >= '0' && c <= '9') classes[c] = CharClass::kNumber;
    if ((c >= '\t' && c <= '\r') || c == ' ') classes[c] = CharClass::kSpace;
  }
  return classes;
}
constexpr std::array<CharClass, 128> kAsciiClass = MakeAsciiClasses();

Char ReadWide(const Byte* p, const Byte* end) {
  const Utf8Char c = ReadUtf8(p, end);
  return {c.code_point == kInvalidCodePoint ? CharClass::kOther : ClassOf(c.code_point), c.size};
}

inline Char ReadChar(const Byte* p, const Byte* end) {
  if (*p < 0x80) [[likely]]
    return {kAsciiClass[*p], 1};
  return ReadWide(p, end);
}

inline bool IsNewline(Byte byte) { return byte == '\n' || byte == '\r'; }

// Characters of `type` from `p` on; where they end.
template <CharClass type>
const Byte* SkipRun(const Byte* p, const Byte* end) {
  while (p < end) {
    const Char c = ReadChar(p, end);
    if (c.type != type) break;
    p += c.size;
  }
  return p;
}

// U+4E00 … U+9FFF and U+B000 … U+CFFF, all letters and of three bytes, whose first one says so: E4 … E9, EB, EC; behind
// E4 the second one must be from B8 on. Ten of them a step.
const Byte* SkipIdeographs(const Byte* p, const Byte* end) {
  constexpr uint32_t kFirstBytes = 0x09249249;  // 0, 3, … 27
  while (end - p >= 32) {
    const __m256i text = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    const uint32_t first = BitsOf(InRange(text, '\xE4', 8)) & ~BitsOf(Equal(text, '\xEA'));
    const uint32_t next = BitsOf(WideBelow(text, '\xC0'));
    const uint32_t before_low = BitsOf(WideBelow(text, '\xB8')) >> 1;
    const uint32_t begins = first & ~(BitsOf(Equal(text, '\xE4')) & before_low);
    const int good = std::min(std::countr_one((begins & kFirstBytes) | (next & ~kFirstBytes)), 30);
    p += good / 3 * 3;
    if (good < 30) break;
  }
  return p;
}

// One step finds the end of most words: a loop over bytes would mispredict once a word.
const Byte* SkipLetters(const Byte* p, const Byte* end) {
  while (end - p >= 16) {
    const __m128i text = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i offset = _mm_sub_epi8(_mm_or_si128(text, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    const __m128i is_letter = _mm_cmpeq_epi8(_mm_min_epu8(offset, _mm_set1_epi8(25)), offset);
    const int letters = std::countr_one(static_cast<uint32_t>(_mm_movemask_epi8(is_letter)));
    p += letters;
    if (letters == 16) continue;
    if (*p < 0x80) return p;
    // A script of its own: no ASCII step until an ASCII byte comes.
    while (p < end && *p >= 0x80) {
      if (*p >= 0xE4 && *p <= 0xE9) p = SkipIdeographs(p, end);
      if (p == end || *p < 0x80) break;
      const Char c = ReadWide(p, end);
      if (c.type != CharClass::kLetter) return p;
      p += c.size;
    }
  }
  return SkipRun<CharClass::kLetter>(p, end);
}

constexpr bool HasQwen2Shape(SplitPattern pattern) {
  return pattern == SplitPattern::kQwen2 || pattern == SplitPattern::kLlama3;
}

// 's 't 're 've 'm 'll 'd with `p` at the apostrophe: the end, or nullptr. The patterns of qwen2's shape ignore case,
// by Unicode's folding, under which U+017F (long s) is an s.
template <bool ignore_case>
const Byte* SkipContraction(const Byte* p, const Byte* end) {
  if (end - p < 2) return nullptr;
  constexpr Byte kFold = ignore_case ? 0x20 : 0;
  const Byte first = p[1] | kFold;
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return p + 2;
  if (end - p < 3) return nullptr;
  if (ignore_case && p[1] == 0xC5 && p[2] == 0xBF) return p + 3;
  const Byte second = p[2] | kFold;
  if ((first == 'r' || first == 'v') && second == 'e') return p + 3;
  return first == 'l' && second == 'l' ? p + 3 : nullptr;
}

template <SplitPattern pattern>
const Byte* SkipNumber(const Byte* p, const Byte* end, int first_size) {
  p += first_size;
  if constexpr (pattern == SplitPattern::kGpt2) return SkipRun<CharClass::kNumber>(p, end);
  if constexpr (pattern == SplitPattern::kLlama3) {
    for (int more = 0; more < 2 && p < end; ++more) {
      const Char c = ReadChar(p, end);
      if (c.type != CharClass::kNumber) break;
      p += c.size;
    }
  }
  return p;
}

// Signs, marks, controls; in qwen2's shape with the newlines that follow.
template <SplitPattern pattern>
const Byte* SkipSigns(const Byte* p, const Byte* end) {
  p = SkipRun<CharClass::kOther>(p, end);
  if constexpr (HasQwen2Shape(pattern)) {
    while (p < end && IsNewline(*p)) ++p;
  }
  return p;
}

// White space with `p` at its first character, where no other alternative took that one.
//   qwen2's shape  \s*[\r\n]+ | \s+(?!\S) | \s+
//   gpt2                        \s+(?!\S) | \s+
//   digits                      \s+(?![^\s\p{N}]) | \s+
template <SplitPattern pattern>
const Byte* SkipSpaces(const Byte* p, const Byte* end) {
  const Byte* const begin = p;
  const Byte* last = p;           // begin of the run's last character
  const Byte* newline = nullptr;  // end of its last newline
  CharClass follows = CharClass::kSpace;
  while (p < end) {
    const Char c = ReadChar(p, end);
    follows = c.type;
    if (c.type != CharClass::kSpace) break;
    last = p;
    p += c.size;
    if (IsNewline(*last)) newline = p;
  }
  if (HasQwen2Shape(pattern) && newline != nullptr) return newline;
  if (p == end || last == begin) return p;
  if (pattern == SplitPattern::kDigits && follows == CharClass::kNumber) return p;
  return last;  // the last one is left for what follows
}

template <SplitPattern pattern>
const Byte* SkipFromSpace(const Byte* p, const Byte* end, int first_size) {
  const Byte* next = p + first_size;
  if (next < end && (*p == ' ' || (HasQwen2Shape(pattern) && !IsNewline(*p)))) {
    const Char c = ReadChar(next, end);
    if (c.type == CharClass::kLetter) return SkipLetters(next + c.size, end);
    if (*p == ' ' && c.type == CharClass::kOther) return SkipSigns<pattern>(next + c.size, end);
    if (pattern == SplitPattern::kGpt2 && c.type == CharClass::kNumber) {
      return SkipNumber<pattern>(next, end, c.size);
    }
  }
  return SkipSpaces<pattern>(p, end);
}

template <SplitPattern pattern>
const Byte* SkipFromSign(const Byte* p, const Byte* end, int first_size) {
  if (*p == '\'') {
    if (const Byte* contraction = SkipContraction<HasQwen2Shape(pattern)>(p, end)) return contraction;
  }
  const Byte* next = p + first_size;
  if (HasQwen2Shape(pattern) && next < end) {
    const Char c = ReadChar(next, end);
    if (c.type == CharClass::kLetter) return SkipLetters(next + c.size, end);
  }
  return SkipSigns<pattern>(next, end);
}

template <SplitPattern pattern>
inline const Byte* NextPiece(const Byte* p, const Byte* end) {
  const Char c = ReadChar(p, end);
  switch (c.type) {
    case CharClass::kLetter:
      return SkipLetters(p + c.size, end);
    case CharClass::kNumber:
      return SkipNumber<pattern>(p, end, c.size);
    case CharClass::kSpace:
      return SkipFromSpace<pattern>(p, end, c.size);
    case CharClass::kOther:
      return SkipFromSign<pattern>(p, end, c.size);
  }
  return end;
}

// Writes offset + place of each bit into `ends`, as many as fit; their number.
size_t WritePlaces(uint64_t bits, size_t offset, std::span<size_t> ends) {
  const size_t count = std::min(static_cast<size_t>(std::popcount(bits)), ends.size());
  for (size_t i = 0; i < count; ++i) {
    ends[i] = offset + static_cast<size_t>(std::countr_zero(bits));
    bits &= bits - 1;
  }
  return count;
}

template <SplitPattern pattern>
size_t SplitBy(absl::string_view text, size_t begin, std::span<size_t> ends) {
  const Byte* const data = reinterpret_cast<const Byte*>(text.data());
  const Byte* const end = data + text.size();
  const Byte* p = data + begin;
  size_t count = 0;
  while (p < end && count < ends.size()) {
    size_t found = 0;
    if (end - p >= AsciiWindow::kBytes && (p[0] | p[1]) < 0x80) {
      // A piece ends where the next one begins.
      const uint64_t next_begins = CertainPieceBegins<pattern>(p) & ~uint64_t{1};
      found = WritePlaces(next_begins, static_cast<size_t>(p - data), ends.subspan(count));
    }
    if (found == 0) {
      ends[count] = static_cast<size_t>(NextPiece<pattern>(p, end) - data);
      found = 1;
    }
    count += found;
    p = data + ends[count - 1];
  }
  return count;
}

}  // namespace

absl::StatusOr<SplitPattern> ParseSplitPattern(absl::string_view name) {
  for (const SplitPattern pattern : kAllSplitPatterns) {
    if (name == SplitPatternName(pattern)) return pattern;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no split pattern \"", name, "\": there are qwen2, gpt2, llama3 and digits"));
}

absl::string_view SplitPatternName(SplitPattern pattern) {
  switch (pattern) {
    case SplitPattern::kQwen2:
      return "qwen2";
    case SplitPattern::kGpt2:
      return "gpt2";
    case SplitPattern::kLlama3:
      return "llama3";
    case SplitPattern::kDigits:
      return "digits";
  }
  return "";
}

size_t SplitText(SplitPattern pattern, absl::string_view text, size_t begin, std::span<size_t> ends) {
  switch (pattern) {
    case SplitPattern::kQwen2:
      return SplitBy<SplitPattern::kQwen2>(text, begin, ends);
    case SplitPattern::kGpt2:
      return SplitBy<SplitPattern::kGpt2>(text, begin, ends);
    case SplitPattern::kLlama3:
      return SplitBy<SplitPattern::kLlama3>(text, begin, ends);
    case SplitPattern::kDigits:
      return SplitBy<SplitPattern::kDigits>(text, begin, ends);
  }
  return 0;
}

size_t SafeCut(absl::string_view text, size_t target) {
  const Byte* const data = reinterpret_cast<const Byte*>(text.data());
  const Byte* const end = data + text.size();
  // ASCII on both sides is proof without knowing where the character before began.
  for (const Byte* p = data + (target == 0 ? 1 : target); p < end; ++p) {
    if (p[-1] >= 0x80 || kAsciiClass[p[-1]] != CharClass::kLetter) {
      // The last byte of a three-byte letter, as Chinese has: also proof, its first byte being unambiguous.
      if (p - data < 3 || p[-3] < 0xE0 || p[-3] >= 0xF0) continue;
      const Char before = ReadWide(p - 3, end);
      if (before.size != 3 || before.type != CharClass::kLetter) continue;
    }
    if (IsContinuation(*p) || ReadChar(p, end).type == CharClass::kLetter) continue;
    // A mark would join the letter under NFC.
    const Utf8Char after = ReadUtf8(p, end);
    if (after.code_point == kInvalidCodePoint || !IsUnstable(after.code_point)) return static_cast<size_t>(p - data);
  }
  return text.size();
}

}  // namespace ingot
