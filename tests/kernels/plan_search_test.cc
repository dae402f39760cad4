#include "kernels/cuda/plan_search.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ingot::cuda {
namespace {

struct Candidate {
  double microseconds;  // negative: it does not run
  bool right = true;
  bool check_fails = false;
};

struct Trace {
  std::vector<int64_t> checked;
};

absl::StatusOr<ChosenPlan> Choose(const std::vector<Candidate>& all, Trace& trace) {
  return FastestRightPlan({.count = static_cast<int64_t>(all.size()),
                           .microseconds = [&](int64_t i) -> absl::StatusOr<double> {
                             if (all[i].microseconds < 0) return absl::InternalError("not supported");
                             return all[i].microseconds;
                           },
                           .is_right = [&](int64_t i) -> absl::StatusOr<bool> {
                             trace.checked.push_back(i);
                             if (all[i].check_fails) return absl::InternalError("launch failed");
                             return all[i].right;
                           }});
}

TEST(PlanSearch, TakesTheFastestThatIsRight) {
  Trace trace;
  const auto chosen = Choose({{5}, {-1}, {1, false}, {2, true, true}, {3}, {3}, {9, false}}, trace);
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(chosen->index, 4);
  EXPECT_EQ(chosen->microseconds, 3);
  EXPECT_EQ(chosen->wrong, 1);
  EXPECT_EQ(chosen->failed, 2);
  EXPECT_EQ(trace.checked, (std::vector<int64_t>{2, 3, 4}));  // in order of speed, and no more than it takes
}

TEST(PlanSearch, SaysWhyThereIsNone) {
  Trace trace;
  EXPECT_THAT(std::string(Choose({}, trace).status().message()), testing::HasSubstr("of 0 candidates"));
  EXPECT_THAT(std::string(Choose({{-1}, {1, false}, {2, true, true}}, trace).status().message()),
              testing::HasSubstr("of 3 candidates 2 failed and 1 gave a wrong product; launch failed"));
}

}  // namespace
}  // namespace ingot::cuda
