#include "tokenizer/piece_counter.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace ingot {
namespace {

constexpr size_t kBlockBytes = size_t{1} << 18;

}  // namespace

void PieceCounter::AddText(SplitPattern pattern, absl::string_view text) {
  for (size_t begin = 0; begin < text.size();) {
    const size_t count = SplitText(pattern, text, begin, ends_);
    AddBatch(text, begin, count);
    begin = ends_[count - 1];
  }
}

void PieceCounter::AddBatch(absl::string_view text, size_t begin, size_t count) {
  const char* const end = text.data() + text.size();
  size_t short_pieces = 0;
  for (size_t i = 0; i < count; ++i) {
    const size_t size = ends_[i] - begin;
    if (size <= PieceKey::kMaxBytes) [[likely]] {
      keys_[short_pieces] = MakePieceKey(text.data() + begin, size, end);
      const uint64_t hash = keys_[short_pieces].Hash();
      hashes_[short_pieces++] = hash;
      __builtin_prefetch(&FirstSlot(partitions_[PartitionOf(hash)], hash));
    } else {
      AddLong(text.substr(begin, size));
    }
    begin = ends_[i];
  }
  for (size_t i = 0; i < short_pieces; ++i) {
    AddShort(partitions_[PartitionOf(hashes_[i])], keys_[i], hashes_[i], 1);
  }
}

void PieceCounter::AddShort(Partition& partition, const PieceKey& key, uint64_t hash, int64_t count) {
  const size_t mask = partition.slots.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    Slot& slot = partition.slots[i];
    if (slot.key == key) {
      slot.count += count;
      return;
    }
    if (slot.count == 0) {
      slot = {key, count};
      if (++partition.used * 3 > partition.slots.size() * 2) Grow(partition);
      return;
    }
  }
}

void PieceCounter::Grow(Partition& partition) {
  const std::vector<Slot> old = std::exchange(partition.slots, std::vector<Slot>(2 * partition.slots.size()));
  partition.used = 0;
  for (const Slot& slot : old) {
    if (slot.count > 0) AddShort(partition, slot.key, slot.key.Hash(), slot.count);
  }
}

void PieceCounter::AddLong(absl::string_view piece) {
  const size_t hash = partitions_[0].longer.hash_function()(piece);  // the table's own, taken once
  auto& counts = partitions_[PartitionOf(hash)].longer;
  const auto found = counts.find(piece, hash);
  if (found != counts.end()) {
    ++found->second;
  } else {
    counts.emplace(Keep(piece), 1);
  }
}

void PieceCounter::AddPartition(int i, const PieceCounter& other) {
  for (const Slot& slot : other.partitions_[i].slots) {
    if (slot.count > 0) AddShort(partitions_[i], slot.key, slot.key.Hash(), slot.count);
  }
  for (const auto& [piece, count] : other.partitions_[i].longer) partitions_[i].longer[piece] += count;
}

absl::string_view PieceCounter::Keep(absl::string_view piece) {
  if (piece.size() > block_left_) {
    const size_t size = std::max(kBlockBytes, piece.size());
    blocks_.push_back(std::make_unique<char[]>(size));
    block_left_ = size;
  }
  // Blocks fill from their end: what is left is always at their begin.
  block_left_ -= piece.size();
  char* const bytes = blocks_.back().get() + block_left_;
  std::memcpy(bytes, piece.data(), piece.size());
  return {bytes, piece.size()};
}

}  // namespace ingot
