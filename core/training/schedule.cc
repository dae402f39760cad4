#include "core/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ingot {
namespace {

int64_t DecaySteps(const Schedule& schedule) {
  if (schedule.decay_steps > 0) return schedule.decay_steps;
  if (schedule.kind == ScheduleKind::kWsd) return std::max<int64_t>(schedule.steps / 5, 1);
  return std::max<int64_t>(schedule.steps - schedule.warmup_steps, 1);
}

}  // namespace

int64_t DecayStart(const Schedule& schedule) {
  switch (schedule.kind) {
    case ScheduleKind::kConstant:
      return schedule.steps;
    case ScheduleKind::kWsd:
      return std::max<int64_t>(schedule.steps - DecaySteps(schedule), 0);
    default:
      return schedule.warmup_steps;
  }
}

double LearningRate(const Schedule& schedule, int64_t step) {
  const double s = static_cast<double>(step);
  double rate = schedule.peak;
  if (step < schedule.warmup_steps) rate *= s / static_cast<double>(schedule.warmup_steps);
  const double fallen = s - 1 - static_cast<double>(DecayStart(schedule));
  const double p = std::clamp(fallen / static_cast<double>(DecaySteps(schedule)), 0.0, 1.0);
  switch (schedule.kind) {
    case ScheduleKind::kCosine:
      return rate *
             (schedule.final_fraction + (1 - schedule.final_fraction) * (1 + std::cos(std::numbers::pi * p)) / 2);
    case ScheduleKind::kLinear:
    case ScheduleKind::kWsd:
      return rate * (1 - (1 - schedule.final_fraction) * p);
    case ScheduleKind::kConstant:
      return rate;
  }
  return rate;
}

}  // namespace ingot
