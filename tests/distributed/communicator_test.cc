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
#include "distributed/staging.h"
#include "kernels/cuda/runtime.h"
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

// Values of host or device memory, on a stream of their own, and what the host sees of them.
template <typename Element>
class Values {
 public:
  Values(Context& ctx, const std::vector<Element>& values) : ctx_(ctx), host_(values) {
    if (ctx.device() == Device::kCpu) return;
    device_ = *cuda::Allocate("values of a test", bytes() + 1);
    EXPECT_TRUE(cuda::CopyToDevice(device_, host_.data(), bytes(), ctx.stream()).ok());
  }
  Values(Values&& other) noexcept
      : ctx_(other.ctx_), host_(std::move(other.host_)), device_(std::exchange(other.device_, nullptr)) {}
  ~Values() {
    if (device_ != nullptr) cuda::Free(device_);
  }
  Element* data() { return device_ == nullptr ? host_.data() : static_cast<Element*>(device_); }
  const std::vector<Element>& Seen() {
    if (device_ == nullptr) return host_;
    EXPECT_TRUE(cuda::CopyToHost(host_.data(), device_, bytes(), ctx_.stream()).ok());
    EXPECT_TRUE(cuda::Synchronize(ctx_.stream()).ok());
    return host_;
  }

 private:
  int64_t bytes() const { return static_cast<int64_t>(host_.size() * sizeof(Element)); }
  Context& ctx_;
  std::vector<Element> host_;
  void* device_ = nullptr;
};

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
  Context ctx;
  EXPECT_TRUE(reduce.Run(communicator, ctx, nodes.nodes(), slots.data(), nodes.last()).ok());
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

const PartExchange& UnequalParts() {
  using Wire = PartExchange::Wire;
  static const PartExchange& exchange = *new PartExchange{
      .buffers = {{Wire::kF32, Wire::kBf16}, {Wire::kBf16}, {Wire::kF32}},
      .parts = {{{0, 1}, {700, 999}}, {{1, 334}, {340, 341}, {342, 345}}, {}},  // rank 2 owns nothing
  };
  return exchange;
}

void ExpectPartsAtTheirOwner(Communicator& communicator, Context& ctx) {
  constexpr int64_t kElements = 1000;
  const PartExchange& exchange = UnequalParts();
  const int64_t rank = communicator.rank();
  std::vector<Values<float>> memory;
  for (size_t buffer = 0; buffer < exchange.buffers[rank].size(); ++buffer) {
    std::vector<float> values;
    for (int64_t i = 0; i < kElements; ++i) {
      values.push_back(PartValue(rank, buffer, i, exchange.buffers[rank][buffer]));
    }
    memory.emplace_back(ctx, values);
  }
  std::vector<float*> own;
  for (Values<float>& values : memory) own.push_back(values.data());
  Values<float> received(ctx, std::vector<float>(exchange.ReceivedElements(rank)));
  Values<Bf16> narrow(ctx, std::vector<Bf16>(exchange.NarrowElements(rank)));
  ASSERT_TRUE(exchange.Run(communicator, ctx, own, received.data(), narrow.data()).ok());
  for (size_t part = 0; part < exchange.parts[rank].size(); ++part) {
    const Interval mine = exchange.parts[rank][part];
    const auto at = exchange.At(rank, part, own, received.data());
    for (size_t peer = 0; peer < 3; ++peer) {
      for (size_t buffer = 0; peer != static_cast<size_t>(rank) && buffer < at[peer].size(); ++buffer) {
        const float* const seen = received.Seen().data() + (at[peer][buffer] - received.data());
        for (int64_t i = 0; i < mine.size(); ++i) {
          ASSERT_EQ(seen[i],
                    PartValue(static_cast<int64_t>(peer), buffer, mine.begin + i, exchange.buffers[peer][buffer]))
              << peer << " " << buffer << " " << mine.begin + i;
        }
      }
    }
    for (size_t buffer = 0; buffer < own.size(); ++buffer) EXPECT_EQ(at[rank][buffer], own[buffer] + mine.begin);
  }
}

TEST_F(CommunicatorTest, PartsReachTheirOwnersInEitherFormat) {
  ForRanks(3, [&](ControlPlane&, Communicator& communicator) {
    Context ctx;
    ExpectPartsAtTheirOwner(communicator, ctx);
  });
}

// A stream of a device for each of `size` ranks.
void ForContexts(int64_t size, const std::function<void(std::vector<Context>&)>& work) {
  std::vector<Context> contexts;
  for (int64_t rank = 0; rank < size; ++rank) contexts.emplace_back(Tensor(), Device::kCuda, *cuda::CreateStream());
  work(contexts);
  for (const Context& context : contexts) cuda::DestroyStream(context.stream());
}

TEST_F(CommunicatorTest, PartsReachTheirOwnersFromDeviceToDevice) {
  if (!cuda::SelectDevice(0).ok()) GTEST_SKIP() << "no CUDA device";
  ForContexts(3, [&](std::vector<Context>& contexts) {
    ForRanks(3, [&](ControlPlane&, Communicator& communicator) {
      ExpectPartsAtTheirOwner(communicator, contexts[communicator.rank()]);
    });
  });
}

TEST_F(CommunicatorTest, CollectivesMoveWhatADeviceHasJustWritten) {
  if (!cuda::SelectDevice(0).ok()) GTEST_SKIP() << "no CUDA device";
  const std::vector<Interval> parts = {{0, 4}, {4, 4}, {4, 40}};
  std::vector<int32_t> expected;
  for (int32_t i = 0; i < 10; ++i) expected.push_back(100 + i);
  ForContexts(3, [&](std::vector<Context>& contexts) {
    ForRanks(3, [&](ControlPlane&, Communicator& communicator) {
      Context& ctx = contexts[communicator.rank()];
      const Interval mine = {parts[communicator.rank()].begin / 4, parts[communicator.rank()].end / 4};
      std::vector<int32_t> values(10, -1);
      for (int64_t i = mine.begin; i < mine.end; ++i) values[i] = expected[i];
      Values<int32_t> all(ctx, values);
      ASSERT_TRUE(communicator.AllGather(all.data(), parts, ctx).ok());
      EXPECT_EQ(all.Seen(), expected);
      Values<int32_t> from(ctx, {7, 8}), to(ctx, {0, 0});  // to oneself
      const Transfer send = {communicator.rank(), from.data(), 8}, receive = {communicator.rank(), to.data(), 8};
      ASSERT_TRUE(communicator.Exchange({send}, {receive}, ctx).ok());
      EXPECT_EQ(to.Seen(), (std::vector<int32_t>{7, 8}));
    });
  });
}

TEST(ExchangeStaged, EachRoundMovesAChunkOfEachMessage) {
  std::vector<char> data(1000);
  const std::vector<Transfer> sends = {{1, data.data(), 250}, {2, data.data() + 250, 100}};
  const std::vector<Transfer> receives = {{2, data.data() + 500, 301}};
  std::vector<std::vector<Transfer>> sent, received;
  std::vector<int64_t> bytes;
  char* const buffer = data.data();
  const auto run = [&](const StagedRound& round) {
    sent.emplace_back();
    received.emplace_back();
    bytes.push_back(round.bytes);
    int64_t end = 0;
    for (const StagedPart& part : round.sends) {
      EXPECT_GE(part.place, end);
      end = part.place + part.bytes;
      sent.back().push_back({part.peer, part.data, part.bytes});
      EXPECT_EQ(part.In(buffer).data, buffer + part.place);
    }
    for (const StagedPart& part : round.receives) {
      EXPECT_GE(part.place, end);
      end = part.place + part.bytes;
      received.back().push_back({part.peer, part.data, part.bytes});
    }
    EXPECT_GE(round.bytes, end);
    return absl::OkStatus();
  };
  ASSERT_TRUE(ExchangeStaged(sends, receives, 100, run).ok());
  const auto is = [](const std::vector<Transfer>& found, const std::vector<Transfer>& expected) {
    return std::equal(found.begin(), found.end(), expected.begin(), expected.end(),
                      [](const Transfer& a, const Transfer& b) {
                        return a.peer == b.peer && a.data == b.data && a.bytes == b.bytes;
                      });
  };
  ASSERT_EQ(sent.size(), 4u);
  EXPECT_TRUE(is(sent[0], {{1, buffer, 100}, {2, buffer + 250, 100}}));
  EXPECT_TRUE(is(sent[1], {{1, buffer + 100, 100}}));
  EXPECT_TRUE(is(sent[2], {{1, buffer + 200, 50}}));
  EXPECT_TRUE(sent[3].empty());
  EXPECT_TRUE(is(received[3], {{2, buffer + 800, 1}}));
  const absl::Status failed =
      ExchangeStaged(sends, receives, 100, [](const StagedRound&) { return absl::UnavailableError("no"); });
  EXPECT_EQ(failed, absl::UnavailableError("no"));
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
