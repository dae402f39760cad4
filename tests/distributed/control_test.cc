// The control plane over real sockets on loopback, with ranks as threads and strangers as raw connections.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "distributed/control_client.h"
#include "distributed/control_server.h"
#include "distributed/wire.h"

namespace ingot {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kSecret[] = "0123456789abcdef0123456789abcdef";

ControlDeadlines Quick() {
  return {.connect = milliseconds(5000),
          .present = milliseconds(5000),
          .handshake = milliseconds(600),
          .heartbeat = milliseconds(50),
          .silence = milliseconds(5000),
          .gather = milliseconds(5000)};
}

class ControlTest : public ::testing::Test {
 protected:
  void Start(int64_t size, ControlDeadlines deadlines = Quick()) {
    size_ = size;
    deadlines_ = deadlines;
    auto server = ControlServer::Start({.secret = kSecret, .run_id = "run", .size = size, .deadlines = deadlines});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  absl::StatusOr<std::unique_ptr<ControlClient>> Join(int64_t rank, const std::string& secret = kSecret,
                                                      const std::string& source = "plain") {
    return ControlClient::Connect({.meeting = [this, secret]() -> absl::StatusOr<Meeting> {
                                     return Meeting{"127.0.0.1", server_->port(), secret, "run"};
                                   },
                                   .rank = rank,
                                   .size = size_,
                                   .source = source,
                                   .deadlines = deadlines_,
                                   .on_verdict = {}});
  }
  // Runs `work` for each rank in a thread of its own.
  void ForRanks(const std::function<void(int64_t, ControlClient&)>& work) {
    std::vector<std::thread> threads;
    for (int64_t rank = 0; rank < size_; ++rank) {
      threads.emplace_back([&, rank] {
        auto client = Join(rank);
        ASSERT_TRUE(client.ok()) << client.status();
        work(rank, **client);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  int Stranger() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(server_->port()));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return fd;
  }
  // Whether the server ends the connection; what it sends before is read away.
  static bool Ends(int fd) {
    char buffer[4096];
    for (;;) {
      pollfd polled = {fd, POLLIN, 0};
      if (poll(&polled, 1, 5000) != 1) return false;
      if (recv(fd, buffer, sizeof(buffer), 0) <= 0) return true;
    }
  }

  int64_t size_ = 1;
  ControlDeadlines deadlines_;
  std::unique_ptr<ControlServer> server_;
};

TEST_F(ControlTest, GatherReachesAllInTheOrderOfRanks) {
  Start(4);
  ForRanks([](int64_t rank, ControlClient& client) {
    for (int round = 0; round < 20; ++round) {
      const auto blobs =
          client.Gather(absl::StrCat("round ", round), absl::StrCat("blob ", rank * round), milliseconds(5000));
      ASSERT_TRUE(blobs.ok()) << blobs.status();
      for (int64_t other = 0; other < 4; ++other) EXPECT_EQ((*blobs)[other], absl::StrCat("blob ", other * round));
    }
  });
}

TEST_F(ControlTest, ValuesWaitForWhoeverAsksFirst) {
  Start(3);
  ForRanks([](int64_t rank, ControlClient& client) {
    if (rank == 2) std::this_thread::sleep_for(milliseconds(30));
    ASSERT_TRUE(client.Put(absl::StrCat("key ", rank), absl::StrCat("value ", rank)).ok());
    for (int64_t other = 0; other < 3; ++other) {
      EXPECT_EQ(*client.Get(absl::StrCat("key ", other), milliseconds(5000)), absl::StrCat("value ", other));
    }
    ASSERT_TRUE(client.Gather("end", "", milliseconds(5000)).ok());
  });
}

TEST_F(ControlTest, OneRankFindsAValueAndTheOthersWaitForIt) {
  Start(4);
  std::atomic<int> found = 0;
  ForRanks([&](int64_t rank, ControlClient& client) {
    for (int round = 0; round < 20; ++round) {
      const std::string key = absl::StrCat("key ", round);
      const auto claim = client.Claim(key, milliseconds(5000));
      ASSERT_TRUE(claim.ok()) << claim.status();
      if (!claim->has_value()) {
        ++found;
        ASSERT_TRUE(client.Put(key, absl::StrCat("value ", round)).ok());
      } else {
        EXPECT_EQ(**claim, absl::StrCat("value ", round));
      }
    }
    ASSERT_TRUE(client.Gather(absl::StrCat("end"), absl::StrCat(rank), milliseconds(5000)).ok());
  });
  EXPECT_EQ(found, 20);
}

TEST_F(ControlTest, ADifferenceIsNamedByFieldValuesAndRank) {
  Start(3);
  ForRanks([](int64_t rank, ControlClient& client) {
    EXPECT_TRUE(client.Compare({{"seed", "1"}, {"dataset", "abc"}}).ok());
    const absl::Status status = client.Compare({{"seed", "1"}, {"model.layers", rank == 2 ? "5" : "4"}});
    EXPECT_THAT(std::string(status.message()), HasSubstr("model.layers: rank 0 has 4, rank 2 has 5"));
    EXPECT_EQ(ExitCodeOf(status), 78);
  });
}

TEST_F(ControlTest, ARankThatFailsIsNamedToAll) {
  Start(3);
  ForRanks([](int64_t rank, ControlClient& client) {
    ASSERT_TRUE(client.Gather("start", "", milliseconds(5000)).ok());
    if (rank == 1) {
      client.Fail(ExitCode::kPeer, "the disk is full");
      return;
    }
    const auto blobs = client.Gather("next", "", milliseconds(5000));
    EXPECT_THAT(std::string(blobs.status().message()), AllOf(HasSubstr("rank 1 (host"), HasSubstr("the disk is full")));
    EXPECT_EQ(ExitCodeOf(blobs.status()), 74);
  });
}

TEST_F(ControlTest, ARankThatEndedBeforeItCameIsNamedByWhoSawIt) {
  Start(3);
  const auto first = Join(0), second = Join(1);
  ASSERT_TRUE(first.ok() && second.ok());
  (*second)->TellEnded(0, 12);  // has come: its own connection tells
  (*second)->TellEnded(3, 12);  // is none
  (*second)->TellEnded(2, 4711);
  const auto verdict = (*first)->WaitForVerdict(milliseconds(5000));
  ASSERT_TRUE(verdict.has_value());
  EXPECT_EQ(verdict->rank, 2);
  EXPECT_EQ(verdict->code, ExitCode::kPeer);
  EXPECT_THAT(verdict->text, AllOf(HasSubstr("rank 2 (host "), HasSubstr(", pid 4711) died before it met rank 0")));
}

TEST_F(ControlTest, MissingRanksAreNamed) {
  Start(3, {.connect = milliseconds(2000), .heartbeat = milliseconds(50), .gather = milliseconds(300)});
  auto first = Join(0), second = Join(1);
  ASSERT_TRUE(first.ok() && second.ok());
  std::thread other([&] { (*first)->Gather("start", "", milliseconds(300)).status().IgnoreError(); });
  const auto blobs = (*second)->Gather("start", "", milliseconds(300));
  EXPECT_THAT(std::string(blobs.status().message()), HasSubstr("never came: ranks 2"));
  other.join();
}

TEST_F(ControlTest, WhoeverIsBehindIsToBlameNotWhoeverComplains) {
  Start(3);
  ForRanks([](int64_t rank, ControlClient& client) {
    client.Report({.step = 7, .phase = rank == 1 ? Phase::kData : Phase::kReduce, .collectives = rank == 1 ? 4u : 5u});
    ASSERT_TRUE(client.Gather("start", "", milliseconds(5000)).ok());
    std::this_thread::sleep_for(milliseconds(200));  // a heartbeat with the progress
    if (rank == 0) client.Stuck("60 s in reduce");
    const auto verdict = client.WaitForVerdict(milliseconds(5000));
    ASSERT_TRUE(verdict.has_value());
    EXPECT_EQ(verdict->rank, 1);
    EXPECT_THAT(verdict->text, HasSubstr("step 7, data"));
  });
}

TEST_F(ControlTest, TwoOfOneRankAreBothNamed) {
  Start(2);
  auto first = Join(1), second = Join(1);
  ASSERT_TRUE(first.ok());
  const auto verdict = (*first)->WaitForVerdict(milliseconds(5000));
  ASSERT_TRUE(verdict.has_value());
  EXPECT_THAT(verdict->text, HasSubstr("two processes are rank 1"));
  EXPECT_EQ(verdict->code, ExitCode::kConfiguration);
}

TEST_F(ControlTest, OtherLaunchersAreNamed) {
  Start(2);
  auto first = Join(0), second = Join(1, kSecret, "torchrun");
  ASSERT_TRUE(first.ok());
  const auto verdict = (*first)->WaitForVerdict(milliseconds(5000));
  ASSERT_TRUE(verdict.has_value());
  EXPECT_THAT(verdict->text, HasSubstr("was started by torchrun, rank 0 by plain"));
}

TEST_F(ControlTest, AnotherSecretIsRefused) {
  Start(2, {.connect = milliseconds(200)});
  const auto client = Join(1, "another secret");
  EXPECT_EQ(ExitCodeOf(client.status()), 77);
}

TEST_F(ControlTest, StrangersAreEndedAndTheRunGoesOn) {
  Start(2);
  std::vector<std::string> texts = {"GET / HTTP/1.1\r\n\r\n", std::string(600, 'x'),
                                    std::string("INGT\1\0\2\0\xff\xff\xff\x7f", 12)};
  texts.push_back(FrameBody(FrameType::kHello, "no hello") + std::string(kFrameMac, 'x'));
  for (const std::string& text : texts) {
    const int fd = Stranger();
    ASSERT_EQ(send(fd, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
    EXPECT_TRUE(Ends(fd)) << text.substr(0, 10);
    close(fd);
  }
  const int silent = Stranger();  // too slow
  EXPECT_TRUE(Ends(silent));
  close(silent);
  ForRanks([](int64_t, ControlClient& client) { EXPECT_TRUE(client.Gather("on", "", milliseconds(5000)).ok()); });
}

TEST_F(ControlTest, AFloodOfConnectionsDoesNotKeepRanksOut) {
  Start(2);
  std::vector<int> flood;
  for (int i = 0; i < 200; ++i) flood.push_back(Stranger());
  ForRanks([](int64_t, ControlClient& client) { EXPECT_TRUE(client.Gather("on", "", milliseconds(5000)).ok()); });
  for (const int fd : flood) close(fd);
}

}  // namespace
}  // namespace ingot
