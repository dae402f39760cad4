// Collectives over Gloo between ranks that are threads of this process, each with its own control plane.
#include "distributed/communicator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/philox.h"
#include "distributed/part_exchange.h"
#include "tests/distributed/part_nodes.h"
#include "tests/distributed/rank_options.h"

namespace ingot {
namespace {

using std::chrono::milliseconds;

class CommunicatorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "ingot-communicator-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  void TearDown() override { RemoveRecursively(directory_).IgnoreError(); }

  void ForRanks(int64_t size, const std::function<void(ControlPlane&, Communicator&)>& work) {
    std::vector<std::thread> threads;
    for (int64_t rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        const auto control = ControlPlane::Join(RankOptions(
            directory_, rank, size,
            {.connect = milliseconds(10000), .heartbeat = milliseconds(50), .gather = milliseconds(10000)}));
        ASSERT_TRUE(control.ok()) << control.status();
        const auto communicator = GlooCommunicator(**control, milliseconds(5000));
        ASSERT_TRUE(communicator.ok()) << communicator.status();
        work(**control, **communicator);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::string directory_;
};

TEST_F(CommunicatorTest, CollectivesMoveTheRightBytes) {
  for (const int64_t size : {2, 3, 4}) {
    ForRanks(size, [size](ControlPlane&, Communicator& communicator) {
      const int64_t rank = communicator.rank();
      std::vector<int64_t> value(1000, rank == 1 ? 42 : 0);
      ASSERT_TRUE(communicator.Broadcast(value.data(), 8000, 1).ok());
      EXPECT_EQ(value[999], 42);
      std::vector<Interval> parts;  // unequal, one of them empty
      for (int64_t r = 0; r < size; ++r) parts.push_back({r == 0 ? 0 : 8 * (r * r - 1), 8 * ((r + 1) * (r + 1) - 1)});
      parts[1].begin = parts[1].end;
      std::vector<int64_t> all(size * size, -1);
      for (int64_t i = parts[rank].begin / 8; i < parts[rank].end / 8; ++i) all[i] = 100 * rank + i;
      ASSERT_TRUE(communicator.AllGather(all.data(), parts).ok());
      for (int64_t r = 0; r < size; ++r) {
        for (int64_t i = parts[r].begin / 8; i < parts[r].end / 8; ++i) EXPECT_EQ(all[i], 100 * r + i);
      }
      std::vector<int64_t> from(size), to(size);
      for (int64_t r = 0; r < size; ++r) from[r] = 10 * rank + r;
      ASSERT_TRUE(communicator.AllToAll(from.data(), to.data(), 8).ok());
      for (int64_t r = 0; r < size; ++r) EXPECT_EQ(to[r], 10 * r + rank);
      EXPECT_TRUE(communicator.Barrier().ok());
    });
  }
}

// Leaves whose sums round.
float LeafValue(int64_t leaf, int64_t i) {
  return static_cast<float>(static_cast<int64_t>(Philox{3}.Below(2000001, leaf, i)) - 1000000) *
         (i % 2 == 0 ? 1e-3f : 1e3f);
}

std::vector<float> ReduceWith(Communicator& communicator, int64_t leaves, int64_t elements) {
  TreeReduceScatter reduce = {.leaves = leaves, .leaf_parts = {}, .shards = {}};
  std::vector<Interval> bytes;
  for (int64_t r = 0; r < communicator.size(); ++r) {
    reduce.leaf_parts.push_back(PartOf(leaves, r, communicator.size()));
    reduce.shards.push_back(PartOf(elements, r, communicator.size()));
    bytes.push_back({4 * reduce.shards.back().begin, 4 * reduce.shards.back().end});
  }
  const Interval part = reduce.leaf_parts[communicator.rank()];
  PartNodes nodes(leaves, part, elements, [elements](int64_t leaf, float* values) {
    for (int64_t i = 0; i < elements; ++i) values[i] += LeafValue(leaf, i);
  });
  std::vector<float> slots(reduce.SlotElements(communicator.rank()) + 1);
  EXPECT_TRUE(reduce.Run(communicator, nodes.nodes(), slots.data(), nodes.last()).ok());
  EXPECT_TRUE(communicator.AllGather(nodes.last(), bytes).ok());
  return {nodes.last(), nodes.last() + elements};
}

TEST_F(CommunicatorTest, TheSumHasTheBitsOfOneRank) {
  constexpr int64_t kElements = 3 * TreeReduceScatter::kPiece / 2 + 17;  // pieces of unequal size
  for (const int64_t leaves : {4, 7}) {
    const auto single = SingleCommunicator();
    const std::vector<float> expected = ReduceWith(*single, leaves, kElements);
    for (const int64_t size : {2, 3}) {
      ForRanks(size, [&](ControlPlane&, Communicator& communicator) {
        EXPECT_TRUE(ReduceWith(communicator, leaves, kElements) == expected)
            << leaves << " leaves, " << size << " ranks";
      });
    }
  }
}

// Element i of buffer `buffer` of a rank: with more digits than bf16 has, or without.
float PartValue(int64_t rank, size_t buffer, int64_t i, PartExchange::Wire wire) {
  const auto n = static_cast<uint64_t>(rank * 10) + buffer;
  const auto value = static_cast<float>(Philox{9}.Normal(n, static_cast<uint64_t>(i)));
  return wire == PartExchange::Wire::kBf16 ? ToFloat(ToBf16(value)) : value;
}

TEST_F(CommunicatorTest, PartsReachTheirOwnersInEitherFormat) {
  using Wire = PartExchange::Wire;
  constexpr int64_t kElements = 1000;
  const PartExchange exchange = {
      .buffers = {{Wire::kF32, Wire::kBf16}, {Wire::kBf16}, {Wire::kF32}},
      .parts = {{{0, 1}, {700, 999}}, {{1, 334}, {340, 341}, {342, 345}}, {}},  // rank 2 owns nothing
  };
  ForRanks(3, [&](ControlPlane&, Communicator& communicator) {
    const int64_t rank = communicator.rank();
    std::vector<std::vector<float>> memory;
    std::vector<float*> own;
    for (size_t buffer = 0; buffer < exchange.buffers[rank].size(); ++buffer) {
      std::vector<float>& values = memory.emplace_back();
      for (int64_t i = 0; i < kElements; ++i) {
        values.push_back(PartValue(rank, buffer, i, exchange.buffers[rank][buffer]));
      }
    }
    for (std::vector<float>& values : memory) own.push_back(values.data());
    std::vector<float> received(exchange.ReceivedElements(rank) + 1);
    std::vector<Bf16> staged(exchange.StagedElements(rank) + 1);
    ASSERT_TRUE(exchange.Run(communicator, own, received.data(), staged.data()).ok());
    for (size_t part = 0; part < exchange.parts[rank].size(); ++part) {
      const Interval mine = exchange.parts[rank][part];
      const auto at = exchange.At(rank, part, own, received.data());
      for (size_t peer = 0; peer < 3; ++peer) {
        for (size_t buffer = 0; buffer < at[peer].size(); ++buffer) {
          for (int64_t i = 0; i < mine.size(); ++i) {
            const float expected =
                PartValue(static_cast<int64_t>(peer), buffer, mine.begin + i, exchange.buffers[peer][buffer]);
            ASSERT_EQ(at[peer][buffer][i], expected) << peer << " " << buffer << " " << mine.begin + i;
          }
        }
      }
    }
  });
}

TEST_F(CommunicatorTest, ARankThatGoesIsNamedToThoseWhoWaitForIt) {
  ForRanks(3, [](ControlPlane& control, Communicator& communicator) {
    if (communicator.rank() == 2) {
      control.Fail(ExitCode::kError, "out of luck");
      return;
    }
    const absl::Status status = communicator.Barrier();
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("out of luck"));
    EXPECT_EQ(communicator.Barrier(), status);
  });
}

TEST_F(CommunicatorTest, TheMeetingFileIsPrivateAndGone) {
  const Meeting meeting = {.address = "127.0.0.1", .port = 4711, .secret = std::string(32, '\7'), .run_id = "a/b"};
  ASSERT_TRUE(WriteMeeting(directory_, meeting).ok());
  const std::string path = JoinPath(directory_, kRendezvousFile);
  struct stat about {};
  ASSERT_EQ(stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  const auto read = ReadMeeting(directory_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->port, 4711);
  EXPECT_EQ(read->secret, meeting.secret);
  EXPECT_EQ(read->run_id, "a/b");
  chmod(path.c_str(), 0644);
  EXPECT_EQ(ExitCodeOf(ReadMeeting(directory_).status()), 77);
  unlink(path.c_str());
  ForRanks(2, [](ControlPlane&, Communicator& communicator) { EXPECT_TRUE(communicator.Barrier().ok()); });
  EXPECT_FALSE(FileExists(path));
}

}  // namespace
}  // namespace ingot
