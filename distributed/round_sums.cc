#include "distributed/round_sums.h"

#include <algorithm>

#include "core/base/check.h"
#include "kernels/add.h"
#include "kernels/copy.h"

namespace ingot {
namespace {

int64_t PlaceOfLeaf(int64_t index) { return -1 - index; }

}  // namespace

RoundSums::RoundSums(int64_t leaves, int64_t width, bool chained) : leaves_(leaves), steps_(leaves / width) {
  INGOT_CHECK(leaves > 0 && leaves % width == 0, "%lld leaves in rounds of %lld", static_cast<long long>(leaves),
              static_cast<long long>(width));
  for (int64_t round = 0; round < rounds(); ++round) {
    std::vector<SumStep>& steps = steps_[round];
    if (chained) {
      steps.push_back({.to = 0, .from = AddLeaves({0, width}, 0, steps), .adds = round > 0});
      continue;
    }
    const int64_t first = round * width;
    for (const Interval& node : MaximalNodes(leaves, {first, first + width})) {
      Push(node, AddLeaves(node, first, steps), steps);
    }
  }
}

// Adds the leaves of a node, which all are of the round that begins with leaf `first`; where the sum is.
int64_t RoundSums::AddLeaves(Interval node, int64_t first, std::vector<SumStep>& steps) const {
  const int64_t place = PlaceOfLeaf(node.begin - first);
  if (node.size() == 1) return place;
  const int64_t mid = SplitOf(node.begin, node.end);
  AddLeaves({node.begin, mid}, first, steps);
  steps.push_back({.to = place, .from = AddLeaves({mid, node.end}, first, steps), .adds = true});
  return place;
}

// A node that is complete joins the one before it as long as both are halves of one; then it waits in a buffer.
void RoundSums::Push(Interval node, int64_t place, std::vector<SumStep>& steps) {
  while (!stack_.empty() && IsNode(leaves_, {stack_.back().node.begin, node.end})) {
    const Waiting left = stack_.back();
    stack_.pop_back();
    steps.push_back({.to = left.buffer, .from = place, .adds = true});
    place = left.buffer;
    node.begin = left.node.begin;
  }
  if (place < 0) {
    const auto buffer = static_cast<int64_t>(stack_.size());  // node k of the stack is in buffer k
    buffers_ = std::max(buffers_, buffer + 1);
    steps.push_back({.to = buffer, .from = place, .adds = false});
    place = buffer;
  }
  stack_.push_back({node, place});
}

void RunSteps(Context& ctx, const std::vector<SumStep>& steps, const std::vector<float*>& leaves,
              const std::vector<float*>& buffers, int64_t count) {
  const auto at = [&](int64_t place) {
    return Tensor(place >= 0 ? buffers[place] : leaves[-1 - place], DType::kF32, {count});
  };
  for (const SumStep& step : steps) {
    if (step.adds) {
      ctx.Run(Add{.x = at(step.from), .y = at(step.to)});
    } else {
      ctx.Run(Copy{.x = at(step.from), .y = at(step.to)});
    }
  }
}

}  // namespace ingot
