#include "distributed/round_sums.h"

#include <gtest/gtest.h>

#include <bit>
#include <memory>

#include "core/base/philox.h"
#include "kernels/context.h"

namespace ingot {
namespace {

constexpr int64_t kElements = 300;

std::vector<std::vector<float>> Leaves(int64_t leaves) {
  std::vector<std::vector<float>> values(leaves, std::vector<float>(kElements));
  for (int64_t leaf = 0; leaf < leaves; ++leaf) {
    for (int64_t i = 0; i < kElements; ++i) {
      values[leaf][i] = static_cast<float>(Philox{3}.Normal(static_cast<uint64_t>(leaf), static_cast<uint64_t>(i)));
    }
  }
  return values;
}

std::vector<float> TreeSum(std::vector<std::vector<float>> values) {
  std::vector<NodeValues> nodes;
  for (size_t leaf = 0; leaf < values.size(); ++leaf) {
    const auto at = static_cast<int64_t>(leaf);
    nodes.push_back({{at, at + 1}, values[leaf].data()});
  }
  Context ctx;
  const float* const sum = AddNodes(ctx, static_cast<int64_t>(values.size()), nodes, kElements);
  return {sum, sum + kElements};
}

// What an owner computes of leaves that come in rounds.
std::vector<float> SumInRounds(std::vector<std::vector<float>> values, const RoundSums& sums) {
  const int64_t width = static_cast<int64_t>(values.size()) / sums.rounds();
  std::vector<std::vector<float>> memory(sums.buffers(), std::vector<float>(kElements));
  std::vector<float*> buffers;
  for (std::vector<float>& buffer : memory) buffers.push_back(buffer.data());
  Context ctx;
  for (int64_t round = 0; round < sums.rounds(); ++round) {
    std::vector<float*> leaves;
    for (int64_t i = 0; i < width; ++i) leaves.push_back(values[round * width + i].data());
    RunSteps(ctx, sums.steps(round), leaves, buffers, kElements);
    for (float* const leaf : leaves) std::fill_n(leaf, kElements, -1e30f);  // gone with its round
  }
  return memory[0];
}

TEST(RoundSums, HaveTheBitsOfTheTree) {
  for (const int64_t leaves : {1, 2, 3, 6, 8, 12, 15, 24, 64}) {
    const std::vector<float> expected = TreeSum(Leaves(leaves));
    for (int64_t width = 1; width <= leaves; ++width) {
      if (leaves % width != 0) continue;
      EXPECT_TRUE(SumInRounds(Leaves(leaves), RoundSums(leaves, width, false)) == expected)
          << leaves << " leaves, " << width << " ranks";
    }
  }
}

TEST(RoundSums, TakeOneBufferForEachDoublingOfTheRounds) {
  for (const int64_t leaves : {8, 64, 1024}) {
    for (int64_t width = 1; width < leaves; width *= 2) {
      EXPECT_EQ(RoundSums(leaves, width, false).buffers(), std::bit_width(static_cast<uint64_t>(leaves / width)) - 1);
    }
    EXPECT_EQ(RoundSums(leaves, leaves, false).buffers(), 1);
  }
}

TEST(RoundSums, ChainedAddRoundsInSequence) {
  const std::vector<std::vector<float>> values = Leaves(6);
  const RoundSums sums(6, 2, true);
  EXPECT_EQ(sums.buffers(), 1);
  std::vector<float> expected(kElements);
  for (int64_t i = 0; i < kElements; ++i) {
    const auto round = [&](int64_t leaf) { return values[leaf][i] + values[leaf + 1][i]; };
    expected[i] = (round(0) + round(2)) + round(4);
  }
  EXPECT_TRUE(SumInRounds(values, sums) == expected);
}

}  // namespace
}  // namespace ingot
