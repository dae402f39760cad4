#include "distributed/sum_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/base/philox.h"
#include "kernels/context.h"
#include "tests/distributed/part_nodes.h"

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
  std::vector<PartNodes> own;
  std::vector<NodeValues> all;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const Interval part = PartOf(leaves, rank, ranks);
    PartNodes& its = own.emplace_back(leaves, part, kElements, [&](int64_t leaf, float* sum) {
      EXPECT_EQ(std::count(sum, sum + kElements, 0.0f), kElements) << "leaf " << leaf;
      AddInto(sum, values[leaf].data(), kElements);
    });
    const auto expected = MaximalNodes(leaves, part);
    EXPECT_EQ(its.nodes().size(), expected.size());
    for (size_t n = 0; n < std::min(expected.size(), its.nodes().size()); ++n)
      EXPECT_EQ(its.nodes()[n].node, expected[n]);
    if (!expected.empty()) {
      EXPECT_EQ(its.nodes().back().values, its.last());
    }
    all.insert(all.end(), its.nodes().begin(), its.nodes().end());
  }
  Context ctx;
  const float* const sum = AddNodes(ctx, leaves, all, kElements);
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

TEST(SumTree, BuffersAreTheLogarithmOfTheLeaves) {
  for (const auto& [leaves, buffers] : {std::pair{1, 1}, {2, 2}, {4, 3}, {8, 4}, {64, 7}}) {
    EXPECT_EQ(PartSums::Of(leaves, {0, leaves}).buffers, buffers);
  }
  EXPECT_EQ(PartSums::Of(8, {4, 8}).buffers, 3);
  EXPECT_EQ(PartSums::Of(8, {3, 4}).buffers, 1);
}

TEST(SumTree, ABufferThatALeafIsComputedInIsFree) {
  for (int64_t leaves = 1; leaves <= 33; ++leaves) {
    for (int64_t begin = 0; begin < leaves; ++begin) {
      for (int64_t end = begin + 1; end <= leaves; ++end) {
        const PartSums sums = PartSums::Of(leaves, {begin, end});
        std::vector<bool> taken(sums.buffers);
        for (const PartSums::Leaf& leaf : sums.leaves) {
          ASSERT_FALSE(taken[leaf.buffer]);
          taken[leaf.buffer] = true;
          for (const PartSums::Addition& add : leaf.adds) {
            ASSERT_TRUE(taken[add.to] && taken[add.from] && add.to != add.from);
            taken[add.from] = false;
          }
        }
        ASSERT_EQ(std::count(taken.begin(), taken.end(), true), static_cast<int64_t>(sums.nodes.size()));
        ASSERT_EQ(sums.nodes.back().buffer, 0);
      }
    }
  }
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
