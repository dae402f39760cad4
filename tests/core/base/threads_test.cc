#include "core/base/threads.h"

#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace ingot {
namespace {

TEST(ThreadsTest, EveryIndexOnce) {
  for (const int threads : {0, 1, 2, 5}) {
    for (const int64_t count : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> calls(count);
      ParallelFor(count, threads, [&](int64_t i) { ++calls.at(i); });
      for (const auto& call : calls) EXPECT_EQ(call, 1);
    }
  }
}

TEST(ThreadsTest, OneThreadGoesInOrder) {
  std::vector<int64_t> order;
  ParallelFor(100, 1, [&](int64_t i) { order.push_back(i); });
  for (int64_t i = 0; i < 100; ++i) EXPECT_EQ(order.at(i), i);
}

TEST(ThreadsTest, NeverMoreThreadsThanAsked) {
  std::mutex mutex;
  std::set<std::thread::id> ids;
  ParallelFor(500, 3, [&](int64_t) {
    const std::lock_guard lock(mutex);
    ids.insert(std::this_thread::get_id());
  });
  EXPECT_GE(ids.size(), 1u);
  EXPECT_LE(ids.size(), 3u);
}

TEST(ThreadsTest, AtLeastOneProcessor) { EXPECT_GE(AvailableProcessors(), 1); }

}  // namespace
}  // namespace ingot
