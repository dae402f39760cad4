#include "data_pipeline/epoch_order.h"

#include <algorithm>

namespace ingot {
namespace {

constexpr uint64_t kBlocksKey = 0x6F726465724F6662u;  // keeps the order of the blocks apart from those inside them

}  // namespace

int64_t EpochOrder::Permuted(uint64_t key, int64_t epoch, int64_t size, int64_t index) const {
  const auto stream = static_cast<uint64_t>(epoch), n = static_cast<uint64_t>(size);
  std::shared_ptr<const Permutation> permutation;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
      return entry.permutation != nullptr && entry.key == key && entry.stream == stream && entry.size == n;
    });
    if (found != entries_.end()) {
      permutation = found->permutation;
    } else {
      permutation = std::make_shared<const Permutation>(key, stream, n);
      entries_[next_entry_++ % entries_.size()] = {key, stream, n, permutation};
    }
  }
  return static_cast<int64_t>((*permutation)(static_cast<uint64_t>(index)));
}

EpochOrder::Place EpochOrder::At(int64_t item, int64_t rows) const {
  const int64_t epoch = item / rows, index = item % rows;
  if (!plan_.shuffle) return {epoch, index};
  if (plan_.block <= 0) return {epoch, Permuted(plan_.seed, epoch, rows, index)};
  const int64_t full = rows / plan_.block;
  int64_t block = index / plan_.block;
  if (plan_.shuffle_blocks && block < full) {
    block = Permuted(CombineHash(plan_.seed, kBlocksKey), epoch, full, block);
  }
  const int64_t first = block * plan_.block, size = std::min(plan_.block, rows - first);
  const uint64_t key = CombineHash(plan_.seed, static_cast<uint64_t>(block));
  return {epoch, first + Permuted(key, epoch, size, index % plan_.block)};
}

}  // namespace ingot
