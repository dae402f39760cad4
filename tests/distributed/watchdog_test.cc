#include "distributed/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

namespace ingot {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

// Checks four times a second from `from` until there is a problem; when that was.
PhaseDeadlines::Time FirstProblem(PhaseDeadlines& deadlines, PhaseDeadlines::Time from) {
  for (PhaseDeadlines::Time now = from; now < from + seconds(100000); now += milliseconds(250)) {
    if (deadlines.Check(now).has_value()) return now - from;
  }
  return PhaseDeadlines::Time(-1);
}

// A phase done `times` times, each lasting `each`.
PhaseDeadlines After(Phase phase, int times, milliseconds each) {
  PhaseDeadlines deadlines;
  PhaseDeadlines::Time now = seconds(1);
  for (int i = 0; i < times; ++i) {
    deadlines.Enter(7, phase, now);
    deadlines.Enter(7, Phase::kEnd, now += each);
  }
  return deadlines;
}

TEST(PhaseDeadlines, TheFirstTimesMayTakeLonger) {
  EXPECT_EQ(PhaseDeadlines().Limit(Phase::kCompute), seconds(3600));
  EXPECT_EQ(After(Phase::kCompute, 2, milliseconds(10)).Limit(Phase::kCompute), seconds(3600));
  EXPECT_EQ(After(Phase::kCompute, 3, milliseconds(10)).Limit(Phase::kCompute), seconds(60));
}

TEST(PhaseDeadlines, TwentyMediansOrTheFloor) {
  EXPECT_EQ(After(Phase::kCompute, 9, milliseconds(2999)).Limit(Phase::kCompute), seconds(60));
  EXPECT_EQ(After(Phase::kCompute, 9, milliseconds(4000)).Limit(Phase::kCompute), seconds(80));
  EXPECT_EQ(After(Phase::kSave, 1, seconds(500)).Limit(Phase::kSave), seconds(10000)) << "also among the first";
}

TEST(PhaseDeadlines, SaysWhatLastsTooLong) {
  PhaseDeadlines deadlines = After(Phase::kCompute, 3, milliseconds(10));
  deadlines.Enter(8, Phase::kCompute, seconds(10));
  EXPECT_EQ(FirstProblem(deadlines, seconds(10)), milliseconds(60250));
  EXPECT_THAT(*deadlines.Check(milliseconds(70500)),
              AllOf(HasSubstr("step 8"), HasSubstr("\"compute\" to end within 60.0 s, it has lasted 60.5 s")));
}

TEST(PhaseDeadlines, TheSamePhaseAgainIsASignOfLife) {
  PhaseDeadlines deadlines = After(Phase::kCompute, 3, milliseconds(10));
  for (int64_t begin = 10; begin < 1000; begin += 50) {
    deadlines.Enter(8, Phase::kCompute, seconds(begin));
    for (int64_t at = begin; at < begin + 50; ++at) EXPECT_FALSE(deadlines.Check(seconds(at)).has_value());
  }
}

TEST(PhaseDeadlines, TimeInWhichTheProcessWasStoppedDoesNotCount) {
  PhaseDeadlines deadlines = After(Phase::kCompute, 3, milliseconds(10));
  deadlines.Enter(8, Phase::kCompute, seconds(10));
  EXPECT_FALSE(deadlines.Check(seconds(10)).has_value());
  EXPECT_FALSE(deadlines.Check(seconds(7210)).has_value());  // two hours under Ctrl-Z
  EXPECT_EQ(FirstProblem(deadlines, seconds(7210)), milliseconds(60250));
}

TEST(PhaseDeadlines, TheEndIsNeverTooLong) {
  PhaseDeadlines deadlines;
  deadlines.Enter(8, Phase::kEnd, seconds(10));
  EXPECT_EQ(FirstProblem(deadlines, seconds(10)), PhaseDeadlines::Time(-1));
}

TEST(Watchdog, CallsWhenAPhaseLastsTooLong) {
  std::promise<std::string> problem;
  Watchdog watchdog(/*scale=*/1e-6, [&](const std::string& text) { problem.set_value(text); });
  watchdog.Enter(3, Phase::kSave);
  EXPECT_THAT(problem.get_future().get(), HasSubstr("step 3: expected the phase \"save\""));
}

TEST(Watchdog, LeavesAtOnceWhenNothingIsWrong) {
  Watchdog watchdog(1, [](const std::string& text) { FAIL() << text; });
  watchdog.Enter(1, Phase::kCompute);
}

}  // namespace
}  // namespace ingot
