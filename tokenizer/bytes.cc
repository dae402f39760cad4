#include "tokenizer/bytes.h"

namespace ingot {
namespace {

constexpr int kFirstSubstitute = 0x100;
constexpr int kSubstitutes = 68;

// The bytes behind U+0100 … U+0143.
constexpr std::array<uint8_t, kSubstitutes> MakeSubstitutes() {
  std::array<uint8_t, kSubstitutes> bytes{};
  for (int i = 0; i < kSubstitutes; ++i) bytes[i] = kAlphabet[256 - kSubstitutes + i];
  return bytes;
}
constexpr std::array<uint8_t, kSubstitutes> kSubstituted = MakeSubstitutes();

// The byte that code point `c` spells, -1 if none.
int SpelledByte(int c) {
  if (c < kFirstSubstitute) return SpellsItself(c) ? c : -1;
  return c < kFirstSubstitute + kSubstitutes ? kSubstituted[c - kFirstSubstitute] : -1;
}

}  // namespace

std::string SpellBytes(absl::string_view bytes) {
  std::string spelling;
  spelling.reserve(2 * bytes.size());
  for (const char byte : bytes) {
    const int c = kByteSpelling[static_cast<uint8_t>(byte)];
    if (c < 0x80) {
      spelling.push_back(static_cast<char>(c));
    } else {  // the alphabet ends below U+0800: two bytes
      spelling.push_back(static_cast<char>(0xC0 | (c >> 6)));
      spelling.push_back(static_cast<char>(0x80 | (c & 0x3F)));
    }
  }
  return spelling;
}

bool UnspellBytes(absl::string_view spelling, std::string& bytes) {
  bytes.clear();
  for (size_t i = 0; i < spelling.size(); ++i) {
    int c = static_cast<uint8_t>(spelling[i]);
    if (c >= 0x80) {
      if ((c & 0xE0) != 0xC0 || ++i == spelling.size()) return false;
      const int second = static_cast<uint8_t>(spelling[i]);
      if ((second & 0xC0) != 0x80) return false;
      c = (c & 0x1F) << 6 | (second & 0x3F);
      if (c < 0x80) return false;  // overlong
    }
    const int byte = SpelledByte(c);
    if (byte < 0) return false;
    bytes.push_back(static_cast<char>(byte));
  }
  return true;
}

}  // namespace ingot
