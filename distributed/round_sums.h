#pragma once
// RoundSums: the tree of sum_tree.h where every rank computes one leaf at a time: round j brings leaves j W to
// (j + 1) W - 1, one from each of W ranks, and whoever owns a part of the sum adds them as they come. The bits are those
// of the tree; a finished part of it takes one buffer, of which there are at most about log2(leaves / W) + 1.
#include <cstdint>
#include <vector>

#include "distributed/sum_tree.h"

namespace ingot {

// to = from, or to += from. A place from 0 on is a buffer, place -1 - i is the i-th leaf of the round.
struct SumStep {
  int64_t to = 0, from = 0;
  bool adds = false;
};

class RoundSums {
 public:
  // `leaves` is a multiple of `width`. chained: each round's leaves are added by a tree of their own, and rounds in
  // sequence; needs one buffer.
  RoundSums(int64_t leaves, int64_t width, bool chained);

  int64_t rounds() const { return static_cast<int64_t>(steps_.size()); }
  int64_t buffers() const { return buffers_; }
  // What to do with round `round`. Leaves may be written over. After the last round buffer 0 holds the sum.
  const std::vector<SumStep>& steps(int64_t round) const { return steps_[round]; }

 private:
  struct Waiting {
    Interval node;
    int64_t buffer;
  };
  int64_t AddLeaves(Interval node, int64_t first, std::vector<SumStep>& steps) const;
  void Push(Interval node, int64_t place, std::vector<SumStep>& steps);

  int64_t leaves_;
  int64_t buffers_ = 1;
  std::vector<Waiting> stack_;  // the k-th in buffer k
  std::vector<std::vector<SumStep>> steps_;
};

// Runs the steps over `count` elements on the device of `ctx`: leaves[i] is the i-th of the round, buffers[k] the k-th.
void RunSteps(Context& ctx, const std::vector<SumStep>& steps, const std::vector<float*>& leaves,
              const std::vector<float*>& buffers, int64_t count);

}  // namespace ingot
