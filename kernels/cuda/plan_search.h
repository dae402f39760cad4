#pragma once
// How a plan is chosen among candidates, apart from what they are.
#include <cstdint>
#include <functional>

#include "absl/status/statusor.h"

namespace ingot::cuda {

struct PlanCandidates {
  int64_t count = 0;
  std::function<absl::StatusOr<double>(int64_t)> microseconds;  // runs candidate i several times
  std::function<absl::StatusOr<bool>(int64_t)> is_right;        // on inputs whose product is known exactly
};

struct ChosenPlan {
  int64_t index = 0;
  double microseconds = 0;
  int64_t wrong = 0;   // faster ones whose product was wrong
  int64_t failed = 0;  // candidates that did not run
};

// The fastest candidate that gives the right product; of equal ones the first. Errors: none does.
absl::StatusOr<ChosenPlan> FastestRightPlan(const PlanCandidates& candidates);

}  // namespace ingot::cuda
