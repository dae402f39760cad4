#include "tokenizer/pair_table.h"

#include <bit>

namespace ingot {

PairTable::PairTable(const std::vector<Merge>& merges)
    : merges_(merges.size()), mask_(std::bit_ceil(2 * merges.size() + 2) - 1), entries_(mask_ + 1) {
  const uint64_t bits = std::bit_ceil(8 * merges.size() + 64);
  filter_shift_ = 64 - std::countr_zero(bits);
  filter_.resize(bits / 64);
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    const uint64_t hash = Hash(merge.left, merge.right);
    const uint64_t bit = hash >> filter_shift_;
    filter_[bit / 64] |= uint64_t{1} << (bit % 64);
    size_t slot = Slot(hash);
    while (entries_[slot].left >= 0) slot = (slot + 1) & mask_;
    entries_[slot] = {merge.left, merge.right, static_cast<int32_t>(rank), merge.result};
  }
}

}  // namespace ingot
