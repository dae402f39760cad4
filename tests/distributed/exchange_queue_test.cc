#include "distributed/exchange_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace ingot {
namespace {

TEST(ExchangeQueue, RunsJobsInTheirOrder) {
  std::vector<int> order;  // the queue's thread alone writes, before Wait() returns
  ExchangeQueue queue;
  uint64_t ticket = 0;
  for (int i = 0; i < 100; ++i) {
    ticket = queue.Submit([&order, i] {
      order.push_back(i);
      return absl::OkStatus();
    });
  }
  EXPECT_EQ(ticket, 100u);
  EXPECT_TRUE(queue.Wait(0).ok());
  EXPECT_TRUE(queue.Wait(ticket).ok());
  ASSERT_EQ(order.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[i], i);
}

TEST(ExchangeQueue, NothingRunsBehindAnError) {
  std::atomic<int> ran{0};
  ExchangeQueue queue;
  queue.Submit([] { return absl::UnavailableError("the peer is gone"); });
  const uint64_t ticket = queue.Submit([&ran] {
    ++ran;
    return absl::OkStatus();
  });
  EXPECT_EQ(queue.Wait(ticket).message(), "the peer is gone");
  EXPECT_EQ(queue.WaitForAll().message(), "the peer is gone");
  EXPECT_EQ(ran, 0);
}

}  // namespace
}  // namespace ingot
