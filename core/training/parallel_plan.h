#pragma once
// ParallelPlan: who computes what in a step, as a pure function of the configuration and the number of ranks.
//   A step has M micro-batches in a global order. Leaf i of L leaves holds micro-batches [i M / L, (i+1) M / L), added in
//   their order; leaves are added by the binary tree of distributed/sum_tree.h; rank r of W has leaves
//   [r L / W, (r+1) L / W).
//   parallel.reproducible: L = min(parallel.lanes, M), so that the sum does not know W. Otherwise L = W.
#include <cstdint>

#include "absl/status/statusor.h"
#include "core/training/config.h"
#include "distributed/sum_tree.h"

namespace ingot {

struct ParallelPlan {
  int64_t ranks = 1;
  int64_t micro_batches = 1;  // of a step, all ranks
  int64_t leaves = 1;
  int64_t zero = 0;  // 0: every rank updates everything; 1: a shard

  // Errors: more ranks than leaves.
  static absl::StatusOr<ParallelPlan> Of(const RunConfig& config, int64_t ranks);

  Interval LeavesOf(int64_t rank) const { return PartOf(leaves, rank, ranks); }
  // Micro-batches of leaves [part.begin, part.end).
  Interval MicroBatchesOf(Interval part) const;
  // Whether micro-batch `micro` is the last one of its leaf.
  bool EndsLeaf(int64_t micro) const;
  // The elements of a flat buffer of `flat_size` that a rank sums: whole blocks of GradientNorm::kBlock.
  Interval SummedBy(int64_t rank, int64_t flat_size) const;
  // The elements that a rank updates: those, or everything.
  Interval UpdatedBy(int64_t rank, int64_t flat_size) const;
};

}  // namespace ingot
