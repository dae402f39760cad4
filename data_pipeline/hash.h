#pragma once
// Hashes that decide splits and orders, and so are part of the format: they never change (docs/shard_format.md).
#include <bit>
#include <cstdint>
#include <cstring>

#include "absl/strings/string_view.h"

namespace ingot {

static_assert(std::endian::native == std::endian::little, "formats and hashes are little-endian");

// The finalizer of splitmix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
constexpr uint64_t Mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Folds `value` into `hash`.
constexpr uint64_t CombineHash(uint64_t hash, uint64_t value) { return Mix64(hash + 0x9E3779B97F4A7C15u + value); }

// h = size, then h = CombineHash(h, w) for each word w of 8 bytes, little-endian, the last one filled up with zeros.
// About 2 GB/s; not against adversaries.
inline uint64_t HashBytes(absl::string_view bytes) {
  uint64_t hash = bytes.size();
  size_t at = 0;
  for (uint64_t word; at + sizeof word <= bytes.size(); at += sizeof word) {
    std::memcpy(&word, bytes.data() + at, sizeof word);
    hash = CombineHash(hash, word);
  }
  if (at < bytes.size()) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, bytes.size() - at);
    hash = CombineHash(hash, word);
  }
  return hash;
}

}  // namespace ingot
