#pragma once
// A permutation of [0, n) chosen by a key, each image found in O(1) memory and time (docs/shard_format.md states it):
// up to 65,536 elements a Fisher-Yates shuffle drawn from Philox, above it a Feistel network on ceil(log2 n) bits
// with cycle walking (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). On tiny domains the network
// alone is biased.
#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "core/base/check.h"
#include "core/base/philox.h"
#include "data_pipeline/hash.h"

namespace ingot {

// Fisher-Yates: `table` becomes a uniform order of 0 … size-1, drawn from the generator's `stream`; at most 65,536.
inline void ShuffleTable(const Philox& random, uint64_t stream, std::span<uint16_t> table) {
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint16_t>(i);
  for (size_t i = table.size(); i > 1; --i) std::swap(table[i - 1], table[random.Below(i, stream, i)]);
}

class Permutation {
 public:
  static constexpr uint64_t kMostShuffled = 65536;

  // Equal (key, stream, n) give equal permutations.
  Permutation(uint64_t key, uint64_t stream, uint64_t n) : n_(n) {
    const Philox random{key};
    if (n <= kMostShuffled) {
      table_.resize(n);
      ShuffleTable(random, stream, table_);
      return;
    }
    const int bits = static_cast<int>(std::bit_width(n - 1));
    right_bits_ = bits - bits / 2;
    left_mask_ = (uint64_t{1} << (bits / 2)) - 1;
    right_mask_ = (uint64_t{1} << right_bits_) - 1;
    for (size_t r = 0; r < round_keys_.size(); ++r) round_keys_[r] = random.Word(stream, r);
  }

  uint64_t size() const { return n_; }

  // The image of `index` < size(): a larger one would walk for ever.
  uint64_t operator()(uint64_t index) const {
    INGOT_CHECK(index < n_, "index %llu of a permutation of %llu", static_cast<unsigned long long>(index),
                static_cast<unsigned long long>(n_));
    if (n_ <= kMostShuffled) return table_[index];
    do {
      index = Encrypt(index);
    } while (index >= n_);
    return index;
  }

 private:
  uint64_t Encrypt(uint64_t x) const {
    uint64_t left = x >> right_bits_, right = x & right_mask_;
    for (size_t r = 0; r < round_keys_.size(); r += 2) {
      left ^= Mix64(right ^ round_keys_[r]) & left_mask_;
      right ^= Mix64(left ^ round_keys_[r + 1]) & right_mask_;
    }
    return left << right_bits_ | right;
  }

  uint64_t n_;
  std::vector<uint16_t> table_;
  int right_bits_ = 0;
  uint64_t left_mask_ = 0, right_mask_ = 0;
  std::array<uint64_t, 8> round_keys_ = {};
};

}  // namespace ingot
