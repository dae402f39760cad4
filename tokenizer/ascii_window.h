#pragma once
// Where pieces begin in 64 bytes at once, by bit operations on the bytes' classes. Only for places that ASCII decides
// and that need no count or search; the rest is the splitter's (tokenizer/splitter.cc), which this is held against.
#include <immintrin.h>

#include <bit>
#include <cstdint>

#include "tokenizer/splitter.h"

namespace ingot {

// Bit i is about byte i of the window. A byte from 0x80 on is wide and nothing else.
struct AsciiWindow {
  static constexpr int kBytes = 64;

  uint64_t letters, numbers, spaces, blanks, newlines, apostrophes, wide;

  uint64_t signs() const { return ~(letters | numbers | spaces | wide); }
};

inline uint32_t BitsOf(__m256i bytes) { return static_cast<uint32_t>(_mm256_movemask_epi8(bytes)); }
inline __m256i Equal(__m256i text, char c) { return _mm256_cmpeq_epi8(text, _mm256_set1_epi8(c)); }

// Bytes from 0x80 on and below `bound`, which is such a byte: as signed numbers all others are above.
inline __m256i WideBelow(__m256i text, char bound) { return _mm256_cmpgt_epi8(_mm256_set1_epi8(bound), text); }

// Bytes in [first, first + more].
inline __m256i InRange(__m256i text, char first, char more) {
  const __m256i offset = _mm256_sub_epi8(text, _mm256_set1_epi8(first));
  return _mm256_cmpeq_epi8(_mm256_min_epu8(offset, _mm256_set1_epi8(more)), offset);
}

// The first 32 bytes of a window at `p`.
inline AsciiWindow ClassifyHalf(const uint8_t* p) {
  const __m256i text = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {.letters = BitsOf(InRange(_mm256_or_si256(text, _mm256_set1_epi8(0x20)), 'a', 25)),
          .numbers = BitsOf(InRange(text, '0', 9)),
          .spaces = BitsOf(_mm256_or_si256(Equal(text, ' '), InRange(text, '\t', 4))),
          .blanks = BitsOf(Equal(text, ' ')),
          .newlines = BitsOf(_mm256_or_si256(Equal(text, '\n'), Equal(text, '\r'))),
          .apostrophes = BitsOf(Equal(text, '\'')),
          .wide = BitsOf(text)};
}

inline AsciiWindow Classify(const uint8_t* p) {
  const AsciiWindow low = ClassifyHalf(p), high = ClassifyHalf(p + 32);
  return {.letters = low.letters | high.letters << 32,
          .numbers = low.numbers | high.numbers << 32,
          .spaces = low.spaces | high.spaces << 32,
          .blanks = low.blanks | high.blanks << 32,
          .newlines = low.newlines | high.newlines << 32,
          .apostrophes = low.apostrophes | high.apostrophes << 32,
          .wide = low.wide | high.wide << 32};
}

// The begins of pieces, given that byte 0 is one. Not asked: bytes that are wide, what depends on contractions, newlines
// in qwen2's shape, more than three digits in llama3's.
//   A piece begins where the class changes, and at the last of several spaces, which is left for what follows it:
//   gpt2    a blank takes the word, number or signs behind it along
//   digits  the same but for numbers, to which no space is left; every digit is a piece
//   qwen2   any one space or sign that begins a piece takes the word behind it along, a blank also signs; every digit
//           is a piece, in llama3 every run of them
template <SplitPattern pattern>
uint64_t PieceBegins(const AsciiWindow& w) {
  const uint64_t signs = w.signs();
  const auto changes = [](uint64_t of) { return of ^ of << 1; };
  uint64_t begins = changes(w.letters) | changes(w.numbers) | changes(w.spaces) | changes(signs);
  uint64_t last_spaces = w.spaces & ~(w.spaces >> 1);
  const uint64_t after_blank = w.blanks << 1;
  if constexpr (pattern == SplitPattern::kGpt2) {
    begins &= ~(after_blank & ~w.spaces);
  } else if constexpr (pattern == SplitPattern::kDigits) {
    begins = (begins & ~(after_blank & (w.letters | signs))) | w.numbers;
    last_spaces &= ~(w.numbers >> 1);
  } else {
    const uint64_t lone_signs = signs & ~(signs << 1) & ~after_blank;
    begins &= ~(w.letters & (w.spaces | lone_signs) << 1) & ~(signs & after_blank);
    if constexpr (pattern == SplitPattern::kQwen2) begins |= w.numbers;
  }
  return begins | last_spaces | 1;
}

// The same without those that this cannot know: none from the byte on that stands before the first one not to be asked
// for, and none behind an apostrophe that begins a piece.
template <SplitPattern pattern>
uint64_t CertainPieceBegins(const uint8_t* p) {
  const AsciiWindow w = Classify(p);
  uint64_t unknown = w.wide;
  if constexpr (pattern == SplitPattern::kQwen2 || pattern == SplitPattern::kLlama3) unknown |= w.newlines;
  if constexpr (pattern == SplitPattern::kLlama3) {
    unknown |= w.numbers & w.numbers << 1 & w.numbers << 2 & w.numbers << 3;
  }
  // A begin may depend on the byte behind it.
  unknown = unknown >> 1 | (unknown & 1) | uint64_t{1} << (AsciiWindow::kBytes - 1);
  const uint64_t begins = PieceBegins<pattern>(w) & ((unknown & -unknown) - 1);
  const uint64_t contractions = begins & w.apostrophes;
  return begins & (contractions ^ (contractions - 1));  // up to the first one; all where there is none
}

}  // namespace ingot
