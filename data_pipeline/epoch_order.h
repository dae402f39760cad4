#pragma once
// EpochOrder: the order in which the n sequences of one source are read, epoch after epoch, as a pure function of
// (seed, item). Three ways (docs/shard_format.md, "Order of training"):
//   in file order; over everything: epoch e = item div n, place pi(seed, e, n)(item mod n);
//   in blocks of S sequences: the order inside each block is drawn, and that of the blocks too, or they come in file
//   order. A last block that is not full comes last.
// Reading stays inside one block at a time: for packing, for slow storage, and for text that is still growing.
#include <array>
#include <cstdint>
#include <memory>
#include <mutex>

#include "data_pipeline/permutation.h"

namespace ingot {

struct OrderPlan {
  uint64_t seed = 0;
  bool shuffle = true;
  int64_t block = 0;            // S; 0: one block holds everything
  bool shuffle_blocks = false;  // with S > 0
};

class EpochOrder {
 public:
  explicit EpochOrder(const OrderPlan& plan) : plan_(plan) {}

  struct Place {
    int64_t epoch = 0, row = 0;
  };
  // Place of `item` where an epoch has `rows`. Thread-safe; allocates where a new epoch or block begins.
  Place At(int64_t item, int64_t rows) const;

 private:
  struct Entry {
    uint64_t key = 0, stream = 0, size = 0;
    std::shared_ptr<const Permutation> permutation;
  };
  int64_t Permuted(uint64_t key, int64_t epoch, int64_t size, int64_t index) const;

  const OrderPlan plan_;
  mutable std::mutex mutex_;
  mutable std::array<Entry, 8> entries_;  // those last used
  mutable size_t next_entry_ = 0;
};

}  // namespace ingot
