#include "core/training/schedule.h"

#include <gtest/gtest.h>

namespace ingot {
namespace {

Schedule Of(ScheduleKind kind) {
  return {.kind = kind, .peak = 2, .final_fraction = 0.1, .steps = 110, .warmup_steps = 10};
}

TEST(Schedule, WarmupRisesInAStraightLineToThePeak) {
  for (const ScheduleKind kind :
       {ScheduleKind::kCosine, ScheduleKind::kLinear, ScheduleKind::kConstant, ScheduleKind::kWsd}) {
    EXPECT_DOUBLE_EQ(LearningRate(Of(kind), 1), 0.2);
    EXPECT_DOUBLE_EQ(LearningRate(Of(kind), 5), 1.0);
    EXPECT_DOUBLE_EQ(LearningRate(Of(kind), 10), 2.0);
  }
}

TEST(Schedule, NoWarmupBeginsAtThePeak) {
  Schedule schedule = Of(ScheduleKind::kCosine);
  schedule.warmup_steps = 0;
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 1), 2.0);
}

TEST(Schedule, CosineIsHalfwayInTheMiddle) {
  const Schedule schedule = Of(ScheduleKind::kCosine);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 11), 2.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 61), 2 * (0.1 + 0.9 / 2));
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 111), 0.2);   // the step after the last
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 5000), 0.2);  // and any later one
}

TEST(Schedule, LinearFallsEvenly) {
  const Schedule schedule = Of(ScheduleKind::kLinear);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 61), 2 * 0.55);
  EXPECT_NEAR(LearningRate(schedule, 31) - LearningRate(schedule, 30), -2 * 0.9 / 100, 1e-12);
}

TEST(Schedule, DecayStepsEndTheFallEarly) {
  Schedule schedule = Of(ScheduleKind::kLinear);
  schedule.decay_steps = 20;
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 21), 2 * 0.55);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 31), 0.2);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 110), 0.2);
}

TEST(Schedule, WsdIsFlatThenFallsOverItsLastSteps) {
  Schedule schedule = Of(ScheduleKind::kWsd);
  EXPECT_EQ(DecayStart(schedule), 88);  // a fifth of 110 steps falls
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 88), 2.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 89), 2.0);
  EXPECT_DOUBLE_EQ(LearningRate(schedule, 100), 2 * (1 - 0.9 * 11 / 22));
  schedule.decay_steps = 10;
  EXPECT_EQ(DecayStart(schedule), 100);
}

TEST(Schedule, ConstantStays) { EXPECT_DOUBLE_EQ(LearningRate(Of(ScheduleKind::kConstant), 110), 2.0); }

}  // namespace
}  // namespace ingot
