#pragma once
// PieceKey: the bytes and the length of a short piece as two words, so that comparing pieces needs no loop and no
// pointer. For tables by piece.
#include <cstdint>
#include <cstring>

namespace ingot {

struct PieceKey {
  static constexpr size_t kMaxBytes = 15;

  uint64_t low = 0, high = 0;  // length in the highest byte: 0 is no piece
  bool operator==(const PieceKey&) const = default;

  size_t size() const { return high >> 56; }
  const char* bytes() const { return reinterpret_cast<const char*>(this); }

  uint64_t Hash() const {
    const auto product =
        static_cast<unsigned __int128>(low ^ 0x9E3779B97F4A7C15ull) * (high * 2 + 0xD1B54A32D192ED03ull);
    return static_cast<uint64_t>(product >> 64) ^ static_cast<uint64_t>(product);
  }
};

// `size` bytes at `p`, 1 … kMaxBytes, of a text that ends at `end`.
inline PieceKey MakePieceKey(const char* p, size_t size, const char* end) {
  uint64_t words[2] = {0, 0};
  if (end - p >= 16) [[likely]] {
    std::memcpy(words, p, 16);
    const uint64_t bits = size * 8;
    if (size <= 8) {
      words[0] &= ~uint64_t{0} >> (64 - bits);
      words[1] = 0;
    } else {
      words[1] &= ~uint64_t{0} >> (128 - bits);
    }
  } else {
    std::memcpy(words, p, size);
  }
  return {words[0], words[1] | static_cast<uint64_t>(size) << 56};
}

}  // namespace ingot
