#pragma once
// The order in which the gradients of a step are added: a binary tree over its leaves that knows nothing of ranks.
//   sum(lo, hi) = leaf lo                              if hi = lo + 1
//               = sum(lo, mid) + sum(mid, hi)          with mid = lo + the largest power of two below hi - lo
// A rank owns consecutive leaves; it computes the largest nodes of the tree that lie inside its interval, and whoever
// owns a part of the gradient adds the nodes of all ranks by the same recursion. So the bits of the sum depend on the
// leaves alone: 1, 2, 3 or 8 ranks give the same.
#include <cstdint>
#include <functional>
#include <vector>

namespace ingot {

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

// a[i] += b[i].
void AddInto(float* a, const float* b, int64_t count);

// A node and the memory that holds its values.
struct NodeValues {
  Interval node;
  float* values = nullptr;
};

// Adds `nodes`, which cover [0, leaves) from left to right, over `count` elements. The sum ends in the memory of the
// first node, which is returned; that of the others may have changed.
float* AddNodes(int64_t leaves, const std::vector<NodeValues>& nodes, int64_t count);

// What NodeStack does with buffers, where they do not lie in host memory.
struct BufferOps {
  std::function<void(float* to, const float* from)> copy;
  std::function<void(float* a, const float* b)> add;  // a[i] += b[i]
};

// The nodes of one rank's leaves while they are computed, one after the other, in one buffer `leaf` of `count` elements.
class NodeStack {
 public:
  // Buffers of `count` elements needed besides `leaf`.
  static int64_t BuffersNeeded(int64_t leaves, Interval part);

  // `buffers` has BuffersNeeded() pointers.
  NodeStack(int64_t leaves, Interval part, float* leaf, int64_t count, std::vector<float*> buffers);
  NodeStack(int64_t leaves, Interval part, float* leaf, std::vector<float*> buffers, BufferOps ops);

  // `leaf` holds the next leaf. After the last one Nodes() is complete; until then `leaf` may be overwritten.
  void Push();
  // The maximal nodes of the part. The last one lies in `leaf`.
  const std::vector<NodeValues>& Nodes() const { return nodes_; }

 private:
  int64_t leaves_, next_;
  Interval part_;
  float* leaf_;
  std::vector<float*> free_;
  BufferOps ops_;
  std::vector<NodeValues> nodes_;
};

}  // namespace ingot
