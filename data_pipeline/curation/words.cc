#include "data_pipeline/curation/words.h"

#include <array>

#include "data_pipeline/hash.h"
#include "tokenizer/unicode_tables.h"
#include "tokenizer/utf8.h"

namespace ingot {
namespace {

enum Kind : uint8_t { kPassedOver, kSpace, kPartOfWord, kWordAlone };

bool IsWordAlone(uint32_t c) {
  return (c >= 0x3041 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x323AF);
}

Kind KindOf(uint32_t c) {
  switch (ClassOf(c)) {
    case CharClass::kSpace:
      return kSpace;
    case CharClass::kLetter:
      return IsWordAlone(c) ? kWordAlone : kPartOfWord;
    case CharClass::kNumber:
      return kPartOfWord;
    default:
      return kPassedOver;
  }
}

std::array<Kind, 128> MakeAsciiKinds() {
  std::array<Kind, 128> kinds;
  for (uint32_t c = 0; c < kinds.size(); ++c) kinds[c] = KindOf(c);
  return kinds;
}

// A byte of a word; FNV-1a (Fowler, Noll and Vo), mixed once at the word's end.
constexpr uint64_t kFnvStart = 0xCBF29CE484222325u, kFnvPrime = 0x100000001B3u;
uint64_t AddByte(uint64_t hash, uint8_t byte) { return (hash ^ byte) * kFnvPrime; }

}  // namespace

bool WordHashes::Next(uint64_t& hash) {
  static const std::array<Kind, 128> kAscii = MakeAsciiKinds();
  uint64_t word = kFnvStart;
  bool inside = false;
  while (at_ < end_) {
    const uint8_t byte = *at_;
    const Utf8Char c = ReadUtf8(at_, end_);
    const Kind kind = byte < 0x80 ? kAscii[byte] : KindOf(c.code_point);
    if (kind == kWordAlone && inside) break;  // it stays for the next call
    if (kind == kPartOfWord || kind == kWordAlone) {
      const bool capital = byte >= 'A' && byte <= 'Z';
      word = AddByte(word, capital ? static_cast<uint8_t>(byte + 32) : byte);
      for (int i = 1; i < c.size; ++i) word = AddByte(word, at_[i]);
      inside = true;
    }
    at_ += c.size;
    if (kind == kWordAlone || (kind == kSpace && inside)) break;
  }
  hash = Mix64(word);
  return inside;
}

}  // namespace ingot
