#pragma once
// The order in which the gradients of a step are added: a binary tree over its leaves that knows nothing of ranks.
//   sum(lo, hi) = leaf lo                              if hi = lo + 1
//               = sum(lo, mid) + sum(mid, hi)          with mid = lo + the largest power of two below hi - lo
// A rank owns consecutive leaves; it computes the largest nodes of the tree that lie inside its interval, and whoever
// owns a part of the gradient adds the nodes of all ranks by the same recursion. So the bits of the sum depend on the
// leaves alone: 1, 2, 3 or 8 ranks give the same, on every device.
#include <cstdint>
#include <vector>

namespace ingot {

class Context;

// A half-open range, of leaves or of elements.
struct Interval {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
  friend bool operator==(const Interval&, const Interval&) = default;
};

// Part `index` of `parts` consecutive, nearly equal parts of [0, count).
Interval PartOf(int64_t count, int64_t index, int64_t parts);

// Where sum(lo, hi) is cut. Two leaves or more.
int64_t SplitOf(int64_t lo, int64_t hi);

bool IsNode(int64_t leaves, Interval nodes);

// The largest nodes of the tree over `leaves` leaves that lie inside `part`, from left to right.
std::vector<Interval> MaximalNodes(int64_t leaves, Interval part);

// A node and the memory that holds its values, on the device of whoever adds.
struct NodeValues {
  Interval node;
  float* values = nullptr;
};

// Adds `nodes`, which cover [0, leaves) from left to right, over `count` elements. The sum ends in the memory of the
// first node, which is returned; that of the others may have changed.
float* AddNodes(Context& ctx, int64_t leaves, const std::vector<NodeValues>& nodes, int64_t count);

// How a rank adds its leaves, which it computes one after the other, without ever copying one: each is computed in the
// buffer in which it waits for its neighbour, or, if the neighbour waits already and for the last leaf, in buffer 0.
struct PartSums {
  struct Addition {
    int64_t to = 0, from = 0;  // buffer to += buffer from, which is free from then on
  };
  struct Leaf {
    int64_t buffer = 0;            // where it is computed: free so far
    std::vector<Addition> adds{};  // once it is
  };
  struct Node {
    Interval node;
    int64_t buffer = 0;
  };

  // For leaves `part` of `leaves`.
  static PartSums Of(int64_t leaves, Interval part);

  std::vector<Leaf> leaves;  // of the part
  std::vector<Node> nodes;   // the maximal nodes of the part, from left to right, at the end. The last is in buffer 0
  int64_t buffers = 1;
};

}  // namespace ingot
