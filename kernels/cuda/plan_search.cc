#include "kernels/cuda/plan_search.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace ingot::cuda {

absl::StatusOr<ChosenPlan> FastestRightPlan(const PlanCandidates& candidates) {
  ChosenPlan chosen;
  absl::Status failure = absl::NotFoundError("there is no candidate");
  std::vector<ChosenPlan> timed;
  for (int64_t i = 0; i < candidates.count; ++i) {
    const absl::StatusOr<double> microseconds = candidates.microseconds(i);
    if (microseconds.ok()) {
      timed.push_back({.index = i, .microseconds = *microseconds});
    } else {
      failure = microseconds.status();
      ++chosen.failed;
    }
  }
  std::stable_sort(timed.begin(), timed.end(),
                   [](const ChosenPlan& a, const ChosenPlan& b) { return a.microseconds < b.microseconds; });
  for (const ChosenPlan& plan : timed) {
    const absl::StatusOr<bool> right = candidates.is_right(plan.index);
    if (right.ok() && *right) {
      chosen.index = plan.index;
      chosen.microseconds = plan.microseconds;
      return chosen;
    }
    right.ok() ? ++chosen.wrong : ++chosen.failed;
    if (!right.ok()) failure = right.status();
  }
  return absl::Status(failure.code(), absl::StrCat("no way to compute it: of ", candidates.count, " candidates ",
                                                   chosen.failed, " failed and ", chosen.wrong,
                                                   " gave a wrong product; ", std::string(failure.message())));
}

}  // namespace ingot::cuda
