// NCCL without a GPU: real ids, spread over the control plane between real processes, and a start that fails on every one
// of them with NCCL's reason. It fails before NCCL's own rendezvous: what comes after it needs a GPU.
#include "distributed/nccl_communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "core/base/file.h"
#include "kernels/cuda/devices.h"
#include "tests/distributed/rank_options.h"

namespace ingot {
namespace {

using std::chrono::milliseconds;
constexpr size_t kIdBytes = 128;

absl::StatusOr<std::unique_ptr<ControlPlane>> Join(const std::string& directory, int64_t rank, int64_t size) {
  return ControlPlane::Join(
      RankOptions(directory, rank, size,
                  {.connect = milliseconds(20000), .heartbeat = milliseconds(50), .gather = milliseconds(20000)}));
}

// In a process of its own; what is wrong, or nothing.
std::string TryAsRank(const std::string& directory, int64_t rank, int64_t size) {
  const auto control = Join(directory, rank, size);
  if (!control.ok()) return std::string(control.status().message());
  const auto communicator = NcclCommunicator(**control, milliseconds(5000));
  if (communicator.ok()) return "it starts without a GPU";
  const std::string message(communicator.status().message());
  if (message.find("NCCL, rank") == std::string::npos || message.find("uda failure") == std::string::npos)
    return message;
  const auto id = (*control)->Get("nccl/id");
  if (!id.ok() || id->size() != kIdBytes || *id == std::string(kIdBytes, '\0')) return "no id";
  const auto ids = (*control)->Gather("ids", *id);
  if (!ids.ok() || std::set<std::string>(ids->begin(), ids->end()).size() != 1) return "not one id for all";
  return "";
}

TEST(NcclCommunicator, EveryRankFailsCleanlyWithoutAGpu) {
  if (!ListGpus().gpus.empty()) GTEST_SKIP() << "there is a GPU here";
  std::string directory = ::testing::TempDir() + "ingot-nccl-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  constexpr int64_t kRanks = 3;
  std::vector<pid_t> children;
  for (int64_t rank = 0; rank < kRanks; ++rank) {
    children.push_back(fork());
    if (children.back() != 0) continue;
    const std::string problem = TryAsRank(directory, rank, kRanks);
    if (!problem.empty()) fprintf(stderr, "rank %d: %s\n", static_cast<int>(rank), problem.c_str());
    _exit(problem.empty() ? 0 : 1);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
  RemoveRecursively(directory).IgnoreError();
}

TEST(NcclCommunicator, NamesItsLibrary) {
  const auto name = NcclName();
  ASSERT_TRUE(name.ok()) << name.status();
  EXPECT_THAT(*name, ::testing::MatchesRegex("NCCL 2\\.[0-9]+\\.[0-9]+, .*libnccl\\.so.*"));
}

TEST(NcclCommunicator, VariablesThatOverrideTheRunAreRefused) {
  const auto control = ControlPlane::Join({});
  ASSERT_TRUE(control.ok());
  for (const char* const name : {"NCCL_COMM_ID", "NCCL_COMM_BLOCKING"}) {
    setenv(name, "1", 1);
    const auto communicator = NcclCommunicator(**control, milliseconds(5000));
    EXPECT_THAT(std::string(communicator.status().message()), ::testing::HasSubstr(std::string(name) + " is set"));
    unsetenv(name);
  }
}

}  // namespace
}  // namespace ingot
