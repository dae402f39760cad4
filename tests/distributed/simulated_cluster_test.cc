// A cluster of 64 to 1,024 ranks without its computing: the real control plane with a client for each rank, one of them a
// process that is killed; and the tree of sums, bit for bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/philox.h"
#include "distributed/control_client.h"
#include "distributed/control_server.h"
#include "kernels/context.h"
#include "tests/distributed/part_nodes.h"

namespace ingot {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr char kSecret[] = "0123456789abcdef0123456789abcdef";
constexpr milliseconds kLimit{120000};  // of each wait: for machines with more to do than processors

ControlDeadlines Patient() {
  return {.connect = kLimit, .present = kLimit, .handshake = kLimit, .silence = kLimit, .gather = kLimit};
}

absl::StatusOr<std::unique_ptr<ControlClient>> Join(int port, int64_t rank, int64_t size) {
  return ControlClient::Connect({.meeting = [port]() -> absl::StatusOr<Meeting> {
                                   return Meeting{"127.0.0.1", port, kSecret, "run"};
                                 },
                                 .rank = rank,
                                 .size = size,
                                 .source = "plain",
                                 .deadlines = Patient(),
                                 .on_verdict = {}});
}

// What every rank does before its first exchange, and a few barriers; false if anything fails.
bool Meet(ControlClient& client, int64_t rank, int64_t size) {
  if (!client.Gather("start", "", kLimit).ok()) return false;
  std::vector<ComparedField> fields;
  for (int i = 0; i < 100; ++i) fields.push_back({absl::StrCat("field ", i), absl::StrCat("value ", i)});
  if (!client.Compare(fields).ok()) return false;
  for (int round = 0; round < 3; ++round) {
    const auto blobs = client.Gather(absl::StrCat("round ", round), absl::StrCat(rank), kLimit);
    if (!blobs.ok() || static_cast<int64_t>(blobs->size()) != size || (*blobs)[rank] != absl::StrCat(rank))
      return false;
  }
  return true;
}

// The last rank, as a process: it hears the port, meets the others, says so, and waits for its end.
[[noreturn]] void BeLastRank(int64_t size, int hears, int says) {
  int port = 0;
  if (read(hears, &port, sizeof(port)) != static_cast<ssize_t>(sizeof(port))) _exit(1);
  const auto client = Join(port, size - 1, size);
  const char met = client.ok() && Meet(**client, size - 1, size) ? 1 : 0;
  if (write(says, &met, 1) != 1) _exit(1);
  for (;;) pause();
}

class SimulatedCluster : public ::testing::TestWithParam<int64_t> {};

TEST_P(SimulatedCluster, MeetsComparesAndHearsOfADeath) {
  const int64_t size = GetParam();
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  const rlim_t wanted = static_cast<rlim_t>(4 * size + 256);  // both ends of each connection are here
  if (files.rlim_max < wanted) GTEST_SKIP() << "only " << files.rlim_max << " open files, not " << wanted;
  files.rlim_cur = std::max(files.rlim_cur, wanted);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);

  int to_last[2], from_last[2];
  ASSERT_TRUE(pipe(to_last) == 0 && pipe(from_last) == 0);
  const pid_t last = fork();  // before this process has threads
  if (last == 0) BeLastRank(size, to_last[0], from_last[1]);
  auto server = ControlServer::Start({.secret = kSecret, .run_id = "run", .size = size, .deadlines = Patient()});
  ASSERT_TRUE(server.ok()) << server.status();
  const int port = (*server)->port();
  ASSERT_EQ(write(to_last[1], &port, sizeof(port)), static_cast<ssize_t>(sizeof(port)));

  std::vector<std::unique_ptr<ControlClient>> clients(size - 1);
  const auto for_ranks = [&](const std::function<void(int64_t)>& work) {
    std::vector<std::thread> threads;
    for (int64_t rank = 0; rank + 1 < size; ++rank) threads.emplace_back(work, rank);
    for (std::thread& thread : threads) thread.join();
  };
  std::atomic<int64_t> met = 0, told = 0;
  for_ranks([&](int64_t rank) {
    auto client = Join(port, rank, size);
    ASSERT_TRUE(client.ok()) << client.status();
    clients[rank] = *std::move(client);
    met += Meet(*clients[rank], rank, size);
  });
  char last_met = 0;
  ASSERT_EQ(read(from_last[0], &last_met, 1), 1);
  EXPECT_EQ(met + last_met, size);

  kill(last, SIGKILL);
  for_ranks([&](int64_t rank) {
    const auto verdict = clients[rank]->WaitForVerdict(kLimit);
    told += verdict.has_value() && verdict->rank == size - 1 && verdict->text.find("died") != std::string::npos;
  });
  EXPECT_EQ(told, size - 1);
  EXPECT_EQ(waitpid(last, nullptr, 0), last);
  for (const int fd : {to_last[0], to_last[1], from_last[0], from_last[1]}) close(fd);
}

INSTANTIATE_TEST_SUITE_P(Ranks, SimulatedCluster, ::testing::Values(64, 256, 1024));

// The sum of `leaves` over all ranks, as they would compute it between them.
std::vector<float> SumOver(int64_t ranks, const std::vector<std::vector<float>>& leaves) {
  const auto L = static_cast<int64_t>(leaves.size()), count = static_cast<int64_t>(leaves[0].size());
  std::vector<std::vector<float>> sent;  // by all ranks, from left to right
  std::vector<NodeValues> nodes;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const Interval part = PartOf(L, rank, ranks);
    const PartNodes own(L, part, count,
                        [&](int64_t leaf, float* values) { AddInto(values, leaves[leaf].data(), count); });
    for (const NodeValues& node : own.nodes()) {
      sent.emplace_back(node.values, node.values + count);
      nodes.push_back({node.node, nullptr});
    }
  }
  for (size_t i = 0; i < nodes.size(); ++i) nodes[i].values = sent[i].data();
  Context ctx;
  const float* const sum = AddNodes(ctx, L, nodes, count);
  return {sum, sum + count};
}

TEST(SimulatedTree, AThousandRanksSumToTheBitsOfOne) {
  constexpr int64_t kLeaves = 1024, kElements = 1000;
  std::vector<std::vector<float>> leaves(kLeaves, std::vector<float>(kElements));
  for (int64_t l = 0; l < kLeaves; ++l) {
    for (int64_t i = 0; i < kElements; ++i) {
      const auto value = static_cast<int64_t>(Philox{3}.Below(2000001, l, i)) - 1000000;
      leaves[l][i] = static_cast<float>(value) * (l % 3 == 0 ? 1e-3f : 1e2f);
    }
  }
  const std::vector<float> one = SumOver(1, leaves);
  for (const int64_t ranks : {2, 3, 64, 100, 128, 256, 512, 1000, 1024}) {
    const std::vector<float> many = SumOver(ranks, leaves);
    EXPECT_EQ(std::memcmp(many.data(), one.data(), kElements * sizeof(float)), 0) << ranks << " ranks";
  }
  // A sum in the order of the leaves has other bits: the test could fail.
  std::vector<float> chain(kElements);
  for (const auto& leaf : leaves) AddInto(chain.data(), leaf.data(), kElements);
  EXPECT_NE(std::memcmp(chain.data(), one.data(), kElements * sizeof(float)), 0);
}

}  // namespace
}  // namespace ingot
