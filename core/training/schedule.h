#pragma once
// Learning-rate schedules: pure functions of the step.
#include <cstdint>

namespace ingot {

enum class ScheduleKind { kCosine, kLinear, kConstant, kWsd };

struct Schedule {
  ScheduleKind kind = ScheduleKind::kCosine;
  double peak = 0;            // learning rate after the warmup
  double final_fraction = 0;  // where the fall ends, as a share of the peak
  int64_t steps = 0;          // of the whole run
  int64_t warmup_steps = 0;
  int64_t decay_steps = 0;  // 0: cosine, linear: all after the warmup; wsd: a fifth of `steps`
};

// Steps after which the fall begins: the number of the last step at the peak (not before the warmup's end for cosine
// and linear). `steps` for constant.
int64_t DecayStart(const Schedule& schedule);

// The learning rate of step `step`, counted from 1.
//   rate = peak * min(1, step / warmup_steps) * course(p),  p = clamp((step - 1 - DecayStart) / decay_steps, 0, 1)
//   course: cosine  final + (1 - final) * (1 + cos(pi p)) / 2
//           linear, wsd  1 - (1 - final) * p
//           constant  1
// p reaches 1 only after the last step, so that no step is spent at a rate of 0.
double LearningRate(const Schedule& schedule, int64_t step);

}  // namespace ingot
