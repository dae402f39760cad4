#include "distributed/sum_tree.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "core/base/check.h"

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

float* AddRange(Interval range, const std::vector<NodeValues>& nodes, size_t& next, int64_t count) {
  INGOT_CHECK(next < nodes.size() && nodes[next].node.begin == range.begin && nodes[next].node.end <= range.end,
              "the nodes do not cover the tree");
  if (nodes[next].node == range) return nodes[next++].values;
  const int64_t mid = SplitOf(range.begin, range.end);
  float* const left = AddRange({range.begin, mid}, nodes, next, count);
  const float* const right = AddRange({mid, range.end}, nodes, next, count);
  AddInto(left, right, count);
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

void AddInto(float* a, const float* b, int64_t count) {
#pragma omp parallel for simd if (count > 65536)
  for (int64_t i = 0; i < count; ++i) a[i] += b[i];
}

float* AddNodes(int64_t leaves, const std::vector<NodeValues>& nodes, int64_t count) {
  size_t next = 0;
  float* const sum = AddRange({0, leaves}, nodes, next, count);
  INGOT_CHECK(next == nodes.size(), "more nodes than the tree has");
  return sum;
}

int64_t NodeStack::BuffersNeeded(int64_t leaves, Interval part) {
  // As Push() does it, without values.
  std::vector<Interval> stack;
  size_t most = 0;
  for (int64_t leaf = part.begin; leaf + 1 < part.end; ++leaf) {
    Interval node = {leaf, leaf + 1};
    while (!stack.empty() && IsNode(leaves, {stack.back().begin, node.end})) {
      node.begin = stack.back().begin;
      stack.pop_back();
    }
    stack.push_back(node);
    most = std::max(most, stack.size());
  }
  return static_cast<int64_t>(most);
}

NodeStack::NodeStack(int64_t leaves, Interval part, float* leaf, int64_t count, std::vector<float*> buffers)
    : NodeStack(leaves, part, leaf, std::move(buffers),
                {.copy = [count](float* to, const float* from) { std::copy_n(from, count, to); },
                 .add = [count](float* a, const float* b) { AddInto(a, b, count); }}) {}

NodeStack::NodeStack(int64_t leaves, Interval part, float* leaf, std::vector<float*> buffers, BufferOps ops)
    : leaves_(leaves), next_(part.begin), part_(part), leaf_(leaf), free_(std::move(buffers)), ops_(std::move(ops)) {}

void NodeStack::Push() {
  INGOT_CHECK(next_ < part_.end, "more leaves than the part has");
  NodeValues node = {{next_, next_ + 1}, leaf_};
  const bool last = ++next_ == part_.end;
  const auto joins = [&] { return !nodes_.empty() && IsNode(leaves_, {nodes_.back().node.begin, node.node.end}); };
  if (!last && !joins()) {
    INGOT_CHECK(!free_.empty(), "too few buffers");
    node.values = free_.back();
    free_.pop_back();
    ops_.copy(node.values, leaf_);
  }
  while (joins()) {
    NodeValues left = nodes_.back();
    nodes_.pop_back();
    left.node.end = node.node.end;
    if (last) std::swap(left.values, node.values);  // the sum ends in `leaf`; x + y and y + x are the same bits
    ops_.add(left.values, node.values);
    if (node.values != leaf_) free_.push_back(node.values);
    node = left;
  }
  nodes_.push_back(node);
}

}  // namespace ingot
