#pragma once
// PieceCounter: how often each piece of text occurs. One a thread; partitions by hash let counters be summed in
// parallel without locks.
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "tokenizer/splitter.h"

namespace ingot {

class PieceCounter {
 public:
  static constexpr int kPartitions = 64;
  using Counts = absl::flat_hash_map<absl::string_view, int64_t>;

  // Counts the pieces of `text`; copies what it keeps.
  void AddText(SplitPattern pattern, absl::string_view text);
  // Adds partition `i` of `other`, which must outlive this counter.
  void AddPartition(int i, const PieceCounter& other);

  const Counts& partition(int i) const { return partitions_[i]; }

 private:
  absl::string_view Keep(absl::string_view piece);

  std::array<Counts, kPartitions> partitions_;
  std::vector<std::unique_ptr<char[]>> blocks_;  // bytes of the pieces
  size_t block_left_ = 0;
};

}  // namespace ingot
