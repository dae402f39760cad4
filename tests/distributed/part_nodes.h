#pragma once
// A rank's nodes of the tree of sums, in host memory.
#include <cstdint>
#include <functional>
#include <vector>

#include "distributed/sum_tree.h"
#include "tests/distributed/add_into.h"

namespace ingot {

class PartNodes {
 public:
  // Adds leaves `part` of `leaves`, of `count` elements each: add_leaf(leaf, values) adds a leaf to `values`, which a
  // fresh or cleared buffer holds.
  PartNodes(int64_t leaves, Interval part, int64_t count, const std::function<void(int64_t, float*)>& add_leaf) {
    const PartSums sums = PartSums::Of(leaves, part);
    memory_.assign(sums.buffers, std::vector<float>(count));
    for (int64_t leaf = part.begin; leaf < part.end; ++leaf) {
      const PartSums::Leaf& step = sums.leaves[leaf - part.begin];
      add_leaf(leaf, memory_[step.buffer].data());
      for (const PartSums::Addition& add : step.adds) {
        AddInto(memory_[add.to].data(), memory_[add.from].data(), count);
        memory_[add.from].assign(count, 0);
      }
    }
    for (const PartSums::Node& node : sums.nodes) nodes_.push_back({node.node, memory_[node.buffer].data()});
  }

  PartNodes(PartNodes&&) = default;

  const std::vector<NodeValues>& nodes() const { return nodes_; }
  // Buffer 0, where the last node lies.
  float* last() { return memory_[0].data(); }

 private:
  std::vector<std::vector<float>> memory_;
  std::vector<NodeValues> nodes_;
};

}  // namespace ingot
