#pragma once
// ParallelPlan: who computes what in a step, as a pure function of the configuration and the number of ranks.
//   A step has M micro-batches in a global order. Leaf i of L leaves holds micro-batches [i M / L, (i+1) M / L), added in
//   their order; leaves are added by the binary tree of distributed/sum_tree.h; rank r of W has leaves
//   [r L / W, (r+1) L / W).
//   parallel.reproducible: L = min(parallel.lanes, M), so that the sum does not know W. Otherwise L = W.
//   From ZeRO stage 2 on a step has M / W rounds: in round j rank r computes micro-batch j W + r, which is a leaf, and the
//   owners of the gradient add what the round brought (distributed/round_sums.h). So L = M, and what a rank keeps of
//   unfinished sums is its shard of them. Otherwise W unfinished lanes would be W whole gradients, however they lie.
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/model/model.h"
#include "core/training/config.h"
#include "distributed/sum_tree.h"

namespace ingot {

struct ParallelPlan {
  int64_t ranks = 1;
  int64_t micro_batches = 1;  // of a step, all ranks
  int64_t leaves = 1;
  // 0: every rank has everything; 1: a shard of the moments, 2: and of the gradients, 3: and of the parameters. One rank
  // goes as 1 where more is asked: its shard is everything.
  int64_t zero = 0;
  DType wire = DType::kF32;  // kBf16: leaves are rounded to it where they are complete
  bool chained = false;      // in rounds: sums of rounds are added in sequence instead of by the tree of all leaves

  // Errors: more ranks than leaves; in rounds a number of ranks that does not divide M, or fewer lanes than M.
  static absl::StatusOr<ParallelPlan> Of(const RunConfig& config, int64_t ranks);

  bool in_rounds() const { return zero >= 2; }
  // What a rank computes of a step: `count` micro-batches, `run` consecutive ones from `first` and from each `stride`
  // micro-batches further on; behind the last of a step follows, so reckoned, the first of the next.
  struct Deal {
    int64_t first = 0, stride = 0, run = 0, count = 0;
    int64_t MicroBatch(int64_t i) const { return first + i / run * stride + i % run; }
  };
  Deal DealOf(int64_t rank) const;

  // Not in rounds:
  Interval LeavesOf(int64_t rank) const { return PartOf(leaves, rank, ranks); }
  // Micro-batches of leaves [part.begin, part.end).
  Interval MicroBatchesOf(Interval part) const;
  // Whether micro-batch `micro` is the last one of its leaf.
  bool EndsLeaf(int64_t micro) const;
  // The elements of a flat buffer of `flat_size` that a rank sums: whole blocks of GradientNorm::kBlock.
  Interval SummedBy(int64_t rank, int64_t flat_size) const;
  // The elements that a rank updates: those, or everything.
  Interval UpdatedBy(int64_t rank, int64_t flat_size) const;
  // What a rank's model keeps.
  ModelShard ShardOf(int64_t rank, int64_t flat_size) const;
};

}  // namespace ingot
