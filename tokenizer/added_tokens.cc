#include "tokenizer/added_tokens.h"

#include <immintrin.h>

#include <algorithm>
#include <bit>

#include "tokenizer/normalization.h"
#include "tokenizer/unicode_tables.h"
#include "tokenizer/utf8.h"

namespace ingot {
namespace {

constexpr size_t kFewBytes = 4;  // distinct first bytes that are looked for 16 bytes of text at a time

const uint8_t* Bytes(absl::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

Utf8Char CharAfter(absl::string_view text, size_t at) { return ReadUtf8(Bytes(text) + at, Bytes(text) + text.size()); }

// The character that ends at `end` > 0.
Utf8Char CharBefore(absl::string_view text, size_t end) {
  const uint8_t* const stop = Bytes(text) + end;
  for (size_t size = 1; size <= std::min<size_t>(4, end); ++size) {
    if (IsContinuation(stop[-static_cast<std::ptrdiff_t>(size)])) continue;
    const Utf8Char c = ReadUtf8(stop - size, stop);
    if (static_cast<size_t>(c.size) == size) return c;
    break;
  }
  return {kInvalidCodePoint, 1};
}

bool IsSpace(Utf8Char c) { return c.code_point != kInvalidCodePoint && ClassOf(c.code_point) == CharClass::kSpace; }

}  // namespace

AddedTokenFinder::AddedTokenFinder(const TokenizerModel& model, bool normalized) {
  for (const bool special : {true, false}) {  // of two of one spelling the special one is found
    for (const AddedToken& token : model.added) {
      if (token.normalized != normalized || token.special != special) continue;
      std::string scratch;
      const std::string& spelling = model.tokens[token.id];
      patterns_.push_back({std::string(normalized && model.nfc ? NormalizeNfc(spelling, scratch) : spelling), &token});
      finds_ordinary_ |= !special;
    }
  }
  std::stable_sort(patterns_.begin(), patterns_.end(),
                   [](const Pattern& a, const Pattern& b) { return a.spelling.size() > b.spelling.size(); });
  begins_.resize(256 * 256 / 64);
  const auto mark = [this](size_t first, size_t second) { begins_[(first + 256 * second) / 64] |= 1ull << first % 64; };
  for (size_t i = 0; i < patterns_.size(); ++i) {
    const uint8_t* const bytes = Bytes(patterns_[i].spelling);
    if (by_byte_[bytes[0]].empty()) first_bytes_.push_back(bytes[0]);
    by_byte_[bytes[0]].push_back(static_cast<int>(i));
    const bool is_one_byte = patterns_[i].spelling.size() == 1;
    for (size_t second = 0; second < 256; ++second) {
      if (is_one_byte || second == bytes[1]) mark(bytes[0], second);
    }
  }
}

size_t AddedTokenFinder::NextFirstByte(absl::string_view text, size_t from) const {
  if (first_bytes_.size() <= kFewBytes) {
    __m128i wanted[kFewBytes];
    for (size_t i = 0; i < kFewBytes; ++i) {
      wanted[i] = _mm_set1_epi8(static_cast<char>(first_bytes_[std::min(i, first_bytes_.size() - 1)]));
    }
    for (; text.size() - from >= 16; from += 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + from));
      const __m128i found =
          _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(bytes, wanted[0]), _mm_cmpeq_epi8(bytes, wanted[1])),
                       _mm_or_si128(_mm_cmpeq_epi8(bytes, wanted[2]), _mm_cmpeq_epi8(bytes, wanted[3])));
      const int mask = _mm_movemask_epi8(found);
      if (mask != 0) return from + static_cast<size_t>(std::countr_zero(static_cast<uint32_t>(mask)));
    }
  }
  while (from < text.size() && by_byte_[static_cast<uint8_t>(text[from])].empty()) ++from;
  return from;
}

bool AddedTokenFinder::MayBegin(absl::string_view text, size_t at) const {
  if (at + 1 == text.size()) return true;
  const size_t pair = static_cast<uint8_t>(text[at]) + 256 * static_cast<size_t>(static_cast<uint8_t>(text[at + 1]));
  return (begins_[pair / 64] >> (pair % 64) & 1) != 0;
}

bool AddedTokenFinder::Find(absl::string_view text, size_t from, Match& match) const {
  for (size_t at = from; (at = NextFirstByte(text, at)) < text.size(); ++at) {
    if (!MayBegin(text, at)) continue;
    for (const int i : by_byte_[static_cast<uint8_t>(text[at])]) {
      const std::string& spelling = patterns_[i].spelling;
      if (text.substr(at, spelling.size()) != spelling) continue;
      match = {at, at + spelling.size(), patterns_[i].token};
      return true;
    }
  }
  return false;
}

bool AddedTokenFinder::TouchesWord(absl::string_view text, const Match& match) {
  return (match.begin > 0 && IsWordCharacter(CharBefore(text, match.begin).code_point)) ||
         (match.end < text.size() && IsWordCharacter(CharAfter(text, match.end).code_point));
}

size_t AddedTokenFinder::SpaceBefore(absl::string_view text, size_t end, size_t least) {
  while (end > least) {
    const Utf8Char c = CharBefore(text, end);
    if (!IsSpace(c)) break;
    end -= static_cast<size_t>(c.size);
  }
  return std::max(end, least);
}

size_t AddedTokenFinder::SpaceAfter(absl::string_view text, size_t begin) {
  while (begin < text.size()) {
    const Utf8Char c = CharAfter(text, begin);
    if (!IsSpace(c)) break;
    begin += static_cast<size_t>(c.size);
  }
  return begin;
}

}  // namespace ingot
