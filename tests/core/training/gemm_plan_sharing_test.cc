// Plans of products between ranks that are threads, each with a store of its own in place of a GPU's.
#include "core/training/gemm_plan_sharing.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "tests/distributed/rank_options.h"

namespace ingot {
namespace {

using cuda::GemmPlan;
using cuda::GemmPlanStore;

// A plan that tells who found it.
GemmPlan FoundBy(int64_t rank) { return {.algorithm = {static_cast<uint64_t>(rank) + 100}, .microseconds = 1.5}; }

TEST(GemmPlanSharing, AllRanksComputeByOnePlan) {
  constexpr int64_t kRanks = 4, kProducts = 12;
  std::string directory = ::testing::TempDir() + "ingot-plans-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  std::vector<GemmPlanStore> stores(kRanks);
  std::atomic<int> searches = 0;
  stores[0].Add("of_the_run", FoundBy(7));
  std::vector<std::thread> threads;
  for (int64_t rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] {
      const auto control = ControlPlane::Join(RankOptions(directory, rank, kRanks));
      ASSERT_TRUE(control.ok()) << control.status();
      GemmPlanSharing sharing(**control, stores[rank]);
      ASSERT_TRUE(sharing.Begin().ok());
      ASSERT_TRUE((*control)->Gather("begun", "").ok());
      const auto search = [&, rank]() -> absl::StatusOr<GemmPlan> {
        ++searches;
        return FoundBy(rank);
      };
      EXPECT_EQ(*stores[rank].FindOr("of_the_run", search), FoundBy(7));
      for (int64_t i = 0; i < kProducts; ++i) {  // each rank in another order
        const auto plan = stores[rank].FindOr(absl::StrCat("product_", (i + 3 * rank) % kProducts), search);
        ASSERT_TRUE(plan.ok()) << plan.status();
      }
      ASSERT_TRUE((*control)->Gather("end", "").ok());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(searches, kProducts);
  for (const GemmPlanStore& store : stores) EXPECT_EQ(store.Table().plans, stores[0].Table().plans);
  EXPECT_EQ(stores[0].Table().plans.size(), static_cast<size_t>(kProducts) + 1);
  RemoveRecursively(directory).IgnoreError();
}

TEST(GemmPlanSharing, OneRankSearchesForItself) {
  const auto control = ControlPlane::Join({});
  GemmPlanStore store;
  GemmPlanSharing sharing(**control, store);
  ASSERT_TRUE(sharing.Begin().ok());
  EXPECT_EQ(*store.FindOr("x", [] { return FoundBy(0); }), FoundBy(0));
  EXPECT_EQ(*store.FindOr("x", [] { return FoundBy(1); }), FoundBy(0));
  EXPECT_FALSE(store.FindOr("y", [] { return absl::InternalError("no algorithm"); }).ok());
  EXPECT_FALSE(store.Find("y").has_value());
}

}  // namespace
}  // namespace ingot
