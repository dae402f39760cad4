#include "distributed/sum_tree.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "core/base/philox.h"

namespace ingot {
namespace {

constexpr int64_t kElements = 500;

// Leaves whose sums round: magnitudes from 1e-4 to 1e4.
std::vector<std::vector<float>> Leaves(int64_t leaves) {
  std::vector<std::vector<float>> values(leaves, std::vector<float>(kElements));
  for (int64_t leaf = 0; leaf < leaves; ++leaf) {
    for (int64_t i = 0; i < kElements; ++i) {
      const auto draw = [&](uint64_t stream) {
        return static_cast<double>(Philox{5}.Below(1000001, stream, leaf * kElements + i)) / 1e6;
      };
      values[leaf][i] = static_cast<float>((draw(0) - 0.5) * std::pow(10.0, 8 * draw(1) - 4));
    }
  }
  return values;
}

// The definition, written out.
float Reference(const std::vector<std::vector<float>>& values, int64_t i, int64_t lo, int64_t hi) {
  if (hi - lo == 1) return values[lo][i];
  int64_t left = 1;
  while (2 * left < hi - lo) left *= 2;
  return Reference(values, i, lo, lo + left) + Reference(values, i, lo + left, hi);
}

// The sum as `ranks` ranks compute it.
std::vector<float> SumOver(const std::vector<std::vector<float>>& values, int64_t ranks) {
  const auto leaves = static_cast<int64_t>(values.size());
  std::vector<std::vector<float>> memory;
  std::vector<NodeValues> all;
  memory.reserve(1000);
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const Interval part = PartOf(leaves, rank, ranks);
    std::vector<float*> buffers;
    for (int64_t n = NodeStack::BuffersNeeded(leaves, part); n > 0; --n)
      buffers.push_back(memory.emplace_back(kElements).data());
    std::vector<float>& leaf = memory.emplace_back(kElements);
    NodeStack stack(leaves, part, leaf.data(), kElements, buffers);
    for (int64_t l = part.begin; l < part.end; ++l) {
      leaf = values[l];
      stack.Push();
    }
    const auto expected = MaximalNodes(leaves, part);
    EXPECT_EQ(stack.Nodes().size(), expected.size());
    for (size_t n = 0; n < expected.size(); ++n) EXPECT_EQ(stack.Nodes()[n].node, expected[n]);
    if (!stack.Nodes().empty()) {
      EXPECT_EQ(stack.Nodes().back().values, leaf.data());
    }
    all.insert(all.end(), stack.Nodes().begin(), stack.Nodes().end());
  }
  const float* const sum = AddNodes(leaves, all, kElements);
  return {sum, sum + kElements};
}

TEST(SumTree, TheSameBitsForEveryNumberOfRanks) {
  int cases = 0;
  for (const int64_t leaves : {8, 16, 64, 24, 30, 7}) {
    const auto values = Leaves(leaves);
    std::vector<float> expected(kElements);
    for (int64_t i = 0; i < kElements; ++i) expected[i] = Reference(values, i, 0, leaves);
    for (int64_t ranks = 1; ranks <= std::min<int64_t>(leaves, 8); ++ranks, ++cases) {
      EXPECT_EQ(SumOver(values, ranks), expected) << leaves << " leaves, " << ranks << " ranks";
    }
  }
  EXPECT_EQ(cases, 47);
}

TEST(SumTree, AChainHasOtherBits) {  // so that the test above can fail
  const auto values = Leaves(64);
  int64_t differ = 0;
  for (int64_t i = 0; i < kElements; ++i) {
    float chain = 0;
    for (const auto& leaf : values) chain += leaf[i];
    differ += chain != Reference(values, i, 0, 64);
  }
  EXPECT_GT(differ, kElements / 5);
}

TEST(SumTree, RanksWithoutLeavesAddNothing) {
  const auto values = Leaves(3);
  EXPECT_EQ(SumOver(values, 5), SumOver(values, 1));
}

TEST(SumTree, BuffersNeededIsTheLogarithmOfTheLeaves) {
  for (const auto& [leaves, buffers] : {std::pair{1, 0}, {2, 1}, {4, 2}, {8, 3}, {64, 6}}) {
    EXPECT_EQ(NodeStack::BuffersNeeded(leaves, {0, leaves}), buffers);
  }
  EXPECT_EQ(NodeStack::BuffersNeeded(8, {4, 8}), 2);
  EXPECT_EQ(NodeStack::BuffersNeeded(8, {3, 4}), 0);
}

TEST(SumTree, PartsCoverEverythingOnce) {
  for (const int64_t parts : {1, 2, 3, 7}) {
    int64_t at = 0;
    for (int64_t part = 0; part < parts; ++part) {
      EXPECT_EQ(PartOf(20, part, parts).begin, at);
      at = PartOf(20, part, parts).end;
    }
    EXPECT_EQ(at, 20);
  }
}

}  // namespace
}  // namespace ingot
