#include "distributed/sum_tree.h"

#include <algorithm>
#include <bit>

#include "core/base/check.h"
#include "kernels/add.h"
#include "kernels/context.h"

namespace ingot {
namespace {

void AppendMaximalNodes(Interval node, Interval part, std::vector<Interval>& nodes) {
  if (node.end <= part.begin || part.end <= node.begin) return;
  if (part.begin <= node.begin && node.end <= part.end) {
    nodes.push_back(node);
    return;
  }
  const int64_t mid = SplitOf(node.begin, node.end);
  AppendMaximalNodes({node.begin, mid}, part, nodes);
  AppendMaximalNodes({mid, node.end}, part, nodes);
}

Tensor Values(float* values, int64_t count) { return Tensor(values, DType::kF32, {count}); }

float* AddRange(Context& ctx, Interval range, const std::vector<NodeValues>& nodes, size_t& next, int64_t count) {
  INGOT_CHECK(next < nodes.size() && nodes[next].node.begin == range.begin && nodes[next].node.end <= range.end,
              "the nodes do not cover the tree");
  if (nodes[next].node == range) return nodes[next++].values;
  const int64_t mid = SplitOf(range.begin, range.end);
  float* const left = AddRange(ctx, {range.begin, mid}, nodes, next, count);
  float* const right = AddRange(ctx, {mid, range.end}, nodes, next, count);
  ctx.Run(Add{.x = Values(right, count), .y = Values(left, count)});
  return left;
}

}  // namespace

Interval PartOf(int64_t count, int64_t index, int64_t parts) {
  return {index * count / parts, (index + 1) * count / parts};
}

int64_t SplitOf(int64_t lo, int64_t hi) {
  return lo + static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(hi - lo - 1)));
}

bool IsNode(int64_t leaves, Interval nodes) {
  Interval at = {0, leaves};
  while (at.begin < nodes.begin || nodes.end < at.end) {
    if (at.size() < 2) return false;
    const int64_t mid = SplitOf(at.begin, at.end);
    if (nodes.end <= mid) {
      at.end = mid;
    } else if (mid <= nodes.begin) {
      at.begin = mid;
    } else {
      return false;
    }
  }
  return at == nodes;
}

std::vector<Interval> MaximalNodes(int64_t leaves, Interval part) {
  std::vector<Interval> nodes;
  if (part.size() > 0) AppendMaximalNodes({0, leaves}, part, nodes);
  return nodes;
}

float* AddNodes(Context& ctx, int64_t leaves, const std::vector<NodeValues>& nodes, int64_t count) {
  size_t next = 0;
  float* const sum = AddRange(ctx, {0, leaves}, nodes, next, count);
  INGOT_CHECK(next == nodes.size(), "more nodes than the tree has");
  return sum;
}

PartSums PartSums::Of(int64_t leaves, Interval part) {
  PartSums sums;
  std::vector<int64_t> free;
  const auto take = [&] {
    if (free.empty()) return sums.buffers++;
    const int64_t buffer = free.back();
    free.pop_back();
    return buffer;
  };
  for (int64_t at = part.begin; at < part.end; ++at) {
    Node node = {.node = {at, at + 1}};
    const bool last = at + 1 == part.end;
    const auto joins = [&] {
      return !sums.nodes.empty() && IsNode(leaves, {sums.nodes.back().node.begin, node.node.end});
    };
    if (!last && !joins()) node.buffer = take();
    Leaf& leaf = sums.leaves.emplace_back(Leaf{.buffer = node.buffer});
    while (joins()) {
      const Node left = sums.nodes.back();
      sums.nodes.pop_back();
      // The sum of the last leaf ends in buffer 0; x + y and y + x are the same bits.
      const Addition add = last ? Addition{node.buffer, left.buffer} : Addition{left.buffer, node.buffer};
      leaf.adds.push_back(add);
      if (add.from != 0) free.push_back(add.from);
      node = {{left.node.begin, node.node.end}, add.to};
    }
    sums.nodes.push_back(node);
  }
  return sums;
}

}  // namespace ingot
