#pragma once
// PieceCounter: how often each piece of text occurs. One a thread; partitions by hash let counters be summed in
// parallel without locks. Short pieces, nearly all of them, stand in the table itself; the slots of a batch of pieces are
// fetched while the next are still being hashed.
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "tokenizer/piece_key.h"
#include "tokenizer/splitter.h"

namespace ingot {

class PieceCounter {
 public:
  static constexpr int kPartitions = 64;

  // Counts the pieces of `text`; copies what it keeps.
  void AddText(SplitPattern pattern, absl::string_view text);
  // Adds partition `i` of `other`, which must outlive this counter.
  void AddPartition(int i, const PieceCounter& other);

  // Calls use(piece, count) for every piece of partition `i`.
  template <typename Use>
  void ForEach(int i, const Use& use) const {
    for (const Slot& slot : partitions_[i].slots) {
      if (slot.count > 0) use(absl::string_view(slot.key.bytes(), slot.key.size()), slot.count);
    }
    for (const auto& [piece, count] : partitions_[i].longer) use(piece, count);
  }

 private:
  static constexpr size_t kBatch = 256;

  struct Slot {
    PieceKey key;
    int64_t count = 0;  // 0: empty
  };
  struct Partition {
    std::vector<Slot> slots = std::vector<Slot>(64);  // open addressing, at most two in three used
    size_t used = 0;
    absl::flat_hash_map<absl::string_view, int64_t> longer;
  };
  // The hash's high bits choose the partition, its low bits the slot.
  static size_t PartitionOf(uint64_t hash) { return hash >> 58; }
  static Slot& FirstSlot(Partition& partition, uint64_t hash) {
    return partition.slots[hash & (partition.slots.size() - 1)];
  }

  void AddBatch(absl::string_view text, size_t begin, size_t count);
  static void AddShort(Partition& partition, const PieceKey& key, uint64_t hash, int64_t count);
  static void Grow(Partition& partition);
  void AddLong(absl::string_view piece);
  absl::string_view Keep(absl::string_view piece);

  std::array<Partition, kPartitions> partitions_;
  std::array<size_t, kBatch> ends_;
  std::array<PieceKey, kBatch> keys_;
  std::array<uint64_t, kBatch> hashes_;
  std::vector<std::unique_ptr<char[]>> blocks_;  // bytes of the longer pieces
  size_t block_left_ = 0;
};

}  // namespace ingot
