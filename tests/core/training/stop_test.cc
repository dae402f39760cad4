#include "core/training/stop.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace ingot {
namespace {

// A process that notes signals and tells each it has noted through a pipe.
[[noreturn]] void NoteSignals(int out) {
  const StopSignals signals;
  int told = -1;
  for (;;) {
    const int signal = StopSignal();
    if (signal != told && write(out, &signal, sizeof(signal)) == sizeof(signal)) told = signal;
    usleep(1000);
  }
}

class TwoSignals : public testing::TestWithParam<std::pair<int, int>> {};

TEST_P(TwoSignals, TheFirstIsNotedTheSecondEndsTheProcess) {
  const auto [first, second] = GetParam();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) NoteSignals(ends[1]);
  int noted = -1;
  ASSERT_EQ(read(ends[0], &noted, sizeof(noted)), static_cast<ssize_t>(sizeof(noted)));
  EXPECT_EQ(noted, 0);
  kill(child, first);
  ASSERT_EQ(read(ends[0], &noted, sizeof(noted)), static_cast<ssize_t>(sizeof(noted)));
  EXPECT_EQ(noted, first);
  kill(child, second);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == second) << status;
  close(ends[0]);
  close(ends[1]);
}

INSTANTIATE_TEST_SUITE_P(All, TwoSignals,
                         testing::Values(std::pair(SIGTERM, SIGTERM), std::pair(SIGUSR1, SIGTERM),
                                         std::pair(SIGTERM, SIGUSR1), std::pair(SIGINT, SIGINT)));

TEST(StopSignals, ExitCodes) {
  EXPECT_EQ(ExitCodeOfStop(SIGTERM), 75);
  EXPECT_EQ(ExitCodeOfStop(SIGUSR1), 75);
  EXPECT_EQ(ExitCodeOfStop(SIGINT), 130);
}

}  // namespace
}  // namespace ingot
