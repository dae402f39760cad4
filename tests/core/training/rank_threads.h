#pragma once
// Ranks as threads of this process, over real sockets.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "distributed/ranks.h"
#include "tests/temporary_directory.h"

namespace ingot {

class RankThreads : public ::testing::Test {
 protected:
  // `work` runs once for each of `size` ranks, which then wait for each other.
  void ForRanks(int64_t size, const std::function<void(const std::shared_ptr<Ranks>&)>& work) {
    std::vector<std::thread> threads;
    for (int64_t rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] {
        const auto ranks = Ranks::Join({.environment = {{"INGOT_RANK", std::to_string(rank)},
                                                        {"INGOT_WORLD_SIZE", std::to_string(size)},
                                                        {"INGOT_LOCAL_SIZE", std::to_string(size)}},
                                        .launch = {},
                                        .run_directory = directory_ / "run",
                                        .interface = {},
                                        .deadlines = {},
                                        .leave = {}});
        ASSERT_TRUE(ranks.ok()) << ranks.status();
        work(*ranks);
        EXPECT_TRUE((*ranks)->communicator().Barrier().ok());
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  // The same with a data plane.
  void ForConnectedRanks(int64_t size, const std::function<void(Ranks&)>& work) {
    ForRanks(size, [&](const std::shared_ptr<Ranks>& ranks) {
      ASSERT_TRUE(ranks->Connect(Device::kCpu).ok());
      work(*ranks);
    });
  }
  TemporaryDirectory directory_;
};

}  // namespace ingot
