#include "core/training/parallel_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "kernels/gradient_norm.h"

namespace ingot {
namespace {

using ::testing::HasSubstr;

RunConfig Config(int64_t micro_batches, int64_t lanes, bool reproducible = true) {
  RunConfig config;
  config.mutable_training()->set_micro_batch(2);
  config.mutable_data()->set_sequence_length(4);
  config.mutable_training()->set_tokens_per_step(8 * micro_batches);
  config.mutable_parallel()->set_lanes(lanes);
  config.mutable_parallel()->set_reproducible(reproducible);
  return config;
}

TEST(ParallelPlan, LeavesDoNotKnowTheRanks) {
  for (const int64_t ranks : {1, 2, 3, 4, 8}) EXPECT_EQ(ParallelPlan::Of(Config(24, 8), ranks)->leaves, 8);
  EXPECT_EQ(ParallelPlan::Of(Config(3, 8), 1)->leaves, 3);
  EXPECT_EQ(ParallelPlan::Of(Config(24, 8, false), 3)->leaves, 3);
}

TEST(ParallelPlan, MicroBatchesAreDealtOnceInOrder) {
  for (const int64_t micros : {8, 11, 24, 100}) {
    for (const int64_t ranks : {1, 2, 3, 5, 8}) {
      const ParallelPlan plan = *ParallelPlan::Of(Config(micros, 8), ranks);
      int64_t at = 0, leaves = 0;
      for (int64_t rank = 0; rank < ranks; ++rank) {
        const Interval mine = plan.MicroBatchesOf(plan.LeavesOf(rank));
        EXPECT_EQ(mine.begin, at);
        EXPECT_GT(mine.size(), 0);
        at = mine.end;
        for (int64_t micro = mine.begin; micro < mine.end; ++micro) leaves += plan.EndsLeaf(micro);
        EXPECT_EQ(leaves, plan.LeavesOf(rank).end);
      }
      EXPECT_EQ(at, micros);
    }
  }
}

TEST(ParallelPlan, MoreRanksThanLeavesAreRefused) {
  EXPECT_THAT(std::string(ParallelPlan::Of(Config(24, 8), 9).status().message()),
              HasSubstr("at most 8 ranks, found 9"));
  EXPECT_THAT(std::string(ParallelPlan::Of(Config(3, 8), 4).status().message()), HasSubstr("parallel.lanes"));
  EXPECT_TRUE(ParallelPlan::Of(Config(24, 8, false), 9).ok());
  EXPECT_FALSE(ParallelPlan::Of(Config(8, 8, false), 9).ok());
}

TEST(ParallelPlan, RoundsDealOneMicroBatchToEachRank) {
  RunConfig config = Config(12, 16);
  for (const int zero : {2, 3}) {
    config.mutable_parallel()->set_zero(zero);
    const ParallelPlan plan = *ParallelPlan::Of(config, 3);
    EXPECT_TRUE(plan.in_rounds());
    EXPECT_EQ(plan.leaves, 12);
    for (int64_t rank = 0; rank < 3; ++rank) {
      const ParallelPlan::Deal deal = plan.DealOf(rank);
      ASSERT_EQ(deal.count, 4);
      for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(deal.MicroBatch(i), rank + 3 * i);  // two steps
    }
    EXPECT_FALSE(ParallelPlan::Of(config, 1)->in_rounds());
  }
}

TEST(ParallelPlan, ADealGoesOnInTheNextStep) {
  const ParallelPlan plan = *ParallelPlan::Of(Config(11, 5), 3);
  for (int64_t rank = 0; rank < 3; ++rank) {
    const ParallelPlan::Deal deal = plan.DealOf(rank);
    const Interval mine = plan.MicroBatchesOf(plan.LeavesOf(rank));
    ASSERT_EQ(deal.count, mine.size());
    for (int64_t i = 0; i < 2 * deal.count; ++i) {
      EXPECT_EQ(deal.MicroBatch(i), mine.begin + i / deal.count * 11 + i % deal.count);
    }
  }
}

TEST(ParallelPlan, RoundsNeedALaneForEachMicroBatchAndRanksThatDivide) {
  RunConfig config = Config(12, 8);
  config.mutable_parallel()->set_zero(2);
  EXPECT_THAT(std::string(ParallelPlan::Of(config, 2).status().message()), HasSubstr("at least 12"));
  config.mutable_parallel()->set_reproducible(false);
  EXPECT_TRUE(ParallelPlan::Of(config, 2)->chained);
  EXPECT_THAT(std::string(ParallelPlan::Of(config, 5).status().message()), HasSubstr("found 5 ranks"));
}

TEST(ParallelPlan, ShardsAreWholeBlocks) {
  constexpr int64_t kBlock = GradientNorm::kBlock;
  for (const int64_t blocks : {1, 2, 7}) {
    ParallelPlan plan = *ParallelPlan::Of(Config(8, 8), 4);
    plan.zero = 1;
    int64_t at = 0;
    for (int64_t rank = 0; rank < 4; ++rank) {
      const Interval mine = plan.UpdatedBy(rank, blocks * kBlock);
      EXPECT_EQ(mine.begin, at);
      EXPECT_EQ(mine.size() % kBlock, 0);
      EXPECT_EQ(mine, plan.SummedBy(rank, blocks * kBlock));
      at = mine.end;
    }
    EXPECT_EQ(at, blocks * kBlock);
    plan.zero = 0;
    EXPECT_EQ(plan.UpdatedBy(3, blocks * kBlock).size(), blocks * kBlock);
  }
}

}  // namespace
}  // namespace ingot
