#pragma once
// The byte alphabet of byte-level BPE files: every byte is spelled as one printable code point, so that a token of any
// bytes is a JSON string. 0x21-0x7E, 0xA1-0xAC and 0xAE-0xFF spell themselves; the other 68 bytes, ascending, are
// U+0100 … U+0143 (a blank is U+0120). Source: GPT-2's encoder, kept by Hugging Face `tokenizers` ever since.
#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace ingot {

constexpr bool SpellsItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

// Code point that spells each byte.
constexpr std::array<uint16_t, 256> MakeByteSpellings() {
  std::array<uint16_t, 256> spellings{};
  uint16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    spellings[byte] = SpellsItself(byte) ? static_cast<uint16_t>(byte) : next++;
  }
  return spellings;
}
inline constexpr std::array<uint16_t, 256> kByteSpelling = MakeByteSpellings();

// The bytes in the order of their spellings: the ids 0 … 255 of a trained vocabulary. The order decides ties in
// training, so it is part of what makes our merges equal those of `tokenizers`.
constexpr std::array<uint8_t, 256> MakeAlphabet() {
  std::array<uint8_t, 256> alphabet{};
  int next = 0;
  for (int byte = 0; byte < 256; ++byte) {
    if (SpellsItself(byte)) alphabet[next++] = static_cast<uint8_t>(byte);
  }
  for (int byte = 0; byte < 256; ++byte) {
    if (!SpellsItself(byte)) alphabet[next++] = static_cast<uint8_t>(byte);
  }
  return alphabet;
}
inline constexpr std::array<uint8_t, 256> kAlphabet = MakeAlphabet();

// `bytes` in the byte alphabet, as UTF-8.
std::string SpellBytes(absl::string_view bytes);

// The inverse. False if `spelling` holds anything but code points of the alphabet.
bool UnspellBytes(absl::string_view spelling, std::string& bytes);

}  // namespace ingot
