#pragma once
// The threads that can run, by position in the schedule's order. All operations are O(1), whatever the block's size.
#include <array>
#include <bit>
#include <cstdint>

namespace ingot::emulator {

class ReadySet {
 public:
  static constexpr int kPositions = 17 * 64;  // 1,024 threads and places for changed priorities

  void Clear() { *this = ReadySet(); }
  bool empty() const { return words_in_use_ == 0; }
  void Insert(int position) {
    words_[position / 64] |= uint64_t{1} << (position % 64);
    words_in_use_ |= 1u << (position / 64);
  }
  void Erase(int position) {
    words_[position / 64] &= ~(uint64_t{1} << (position % 64));
    if (words_[position / 64] == 0) words_in_use_ &= ~(1u << (position / 64));
  }
  // The first position at or after `start`, or else the first of all. Not for an empty set.
  int FirstFrom(int start) const {
    const int word = start / 64;
    const uint64_t here = words_[word] & (~uint64_t{0} << (start % 64));
    if (here != 0) return word * 64 + std::countr_zero(here);
    const uint32_t later = words_in_use_ & static_cast<uint32_t>(~uint64_t{0} << (word + 1));
    const int next = std::countr_zero(later != 0 ? later : words_in_use_);
    return next * 64 + std::countr_zero(words_[next]);
  }

 private:
  std::array<uint64_t, kPositions / 64> words_{};
  uint32_t words_in_use_ = 0;
};

}  // namespace ingot::emulator
