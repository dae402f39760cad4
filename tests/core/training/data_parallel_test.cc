// Ranks as threads of this process, each with a model of its own.
#include "core/training/data_parallel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "distributed/exit_codes.h"
#include "distributed/ranks.h"
#include "kernels/gradient_norm.h"
#include "tests/core/training/tiny_run.h"

namespace ingot {
namespace {

class DataParallelTest : public ::testing::Test {
 protected:
  void ForRanks(int64_t size, const std::function<void(Ranks&)>& work) {
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
        ASSERT_TRUE((*ranks)->Connect(Device::kCpu).ok());
        work(**ranks);
        EXPECT_TRUE((*ranks)->communicator().Barrier().ok());
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  static std::unique_ptr<Model> TinyModel() {
    const ModelDims dims = {.L = 1, .C = 64, .H = 2, .K = 2, .D = 32, .F = 64, .V = 2048, .T = 8};
    auto model = Model::Create(dims, {.B = 1, .T = 8, .training = true});
    EXPECT_TRUE(model.ok()) << model.status();
    return *std::move(model);
  }
  TemporaryDirectory directory_;
};

// Gradients that round, written into the model in place of a backward.
void FillGradients(Model& model, int64_t micro) {
  float* const gradients = model.gradients().data<float>();
  for (int64_t i = 0; i < model.table().flat_size; ++i) {
    gradients[i] += static_cast<float>(Philox{11}.Normal(static_cast<uint64_t>(micro), static_cast<uint64_t>(i)));
  }
}

std::vector<float> SumOf(Model& model, Communicator& communicator, int64_t zero) {
  const ParallelPlan plan = {.ranks = communicator.size(), .micro_batches = 10, .leaves = 6, .zero = zero};
  const auto parallel = DataParallel::Create(plan, communicator, model);
  EXPECT_TRUE(parallel.ok()) << parallel.status();
  (*parallel)->Begin();
  const Interval micros = (*parallel)->micro_batches();
  for (int64_t micro = micros.begin; micro < micros.end; ++micro) {
    FillGradients(model, micro);
    EXPECT_TRUE((*parallel)->Done(micro).ok());
  }
  EXPECT_TRUE((*parallel)->Sum().ok());
  const Interval mine = (*parallel)->updated();
  const float* const sum = model.gradients().data<float>();
  return {sum + mine.begin, sum + mine.end};
}

TEST_F(DataParallelTest, TheSumHasTheBitsOfOneRank) {
  const std::unique_ptr<Model> model = TinyModel();
  const std::vector<float> expected = SumOf(*model, Ranks::Alone()->communicator(), 1);
  ASSERT_EQ(static_cast<int64_t>(expected.size()), model->table().flat_size);
  for (const int64_t size : {2, 3}) {
    ForRanks(size, [&](Ranks& ranks) {
      const std::unique_ptr<Model> own = TinyModel();
      EXPECT_TRUE(SumOf(*own, ranks.communicator(), 0) == expected) << size << " ranks";
      const Interval mine = ParallelPlan{.ranks = size, .zero = 1}.UpdatedBy(ranks.rank(), own->table().flat_size);
      EXPECT_TRUE(SumOf(*own, ranks.communicator(), 1) ==
                  std::vector<float>(expected.begin() + mine.begin, expected.begin() + mine.end))
          << size << " ranks";
    });
  }
}

double Nats(int64_t micro) { return 0.1 * static_cast<double>(micro); }

TEST_F(DataParallelTest, NumbersAreThoseOfAllRanks) {
  ForRanks(3, [&](Ranks& ranks) {
    const std::unique_ptr<Model> model = TinyModel();
    const ParallelPlan plan = {.ranks = 3, .micro_batches = 10, .leaves = 6, .zero = 1};
    const auto parallel = DataParallel::Create(plan, ranks.communicator(), *model);
    ASSERT_TRUE(parallel.ok()) << parallel.status();
    StepNumbers mine;
    mine.stop_signal = ranks.rank() == 1 ? 15 : 0;
    mine.targets = 100 + ranks.rank();
    const Interval micros = (*parallel)->micro_batches(), updated = (*parallel)->updated();
    for (int64_t micro = micros.begin; micro < micros.end; ++micro) mine.nats.push_back(Nats(micro));
    constexpr int64_t kBlock = GradientNorm::kBlock;
    for (int64_t block = updated.begin / kBlock; block < updated.end / kBlock; ++block)
      mine.block_sums.push_back(static_cast<double>(block));
    const auto all = (*parallel)->Gather(mine);
    ASSERT_TRUE(all.ok()) << all.status();
    EXPECT_EQ(all->stop_signal, 15);
    EXPECT_EQ(all->targets, 303);
    ASSERT_EQ(all->nats.size(), 10u);
    for (int64_t micro = 0; micro < 10; ++micro) EXPECT_EQ(all->nats[micro], Nats(micro));
    ASSERT_EQ(static_cast<int64_t>(all->block_sums.size()), model->table().flat_size / kBlock);
    for (size_t block = 0; block < all->block_sums.size(); ++block)
      EXPECT_EQ(all->block_sums[block], static_cast<double>(block));
  });
}

TEST_F(DataParallelTest, TheOddRankIsNamed) {
  for (const int64_t size : {2, 3}) {
    ForRanks(size, [&](Ranks& ranks) {
      const std::unique_ptr<Model> model = TinyModel();
      ASSERT_TRUE(model->Initialize(3).ok());
      const auto parallel =
          DataParallel::Create({.ranks = size, .micro_batches = 4, .leaves = 4}, ranks.communicator(), *model);
      ASSERT_TRUE(parallel.ok()) << parallel.status();
      EXPECT_TRUE((*parallel)->CheckAgreement().ok());
      if (ranks.rank() == 1) *static_cast<uint32_t*>(model->parameters().ptr) ^= 1;  // one bit
      const absl::Status status = (*parallel)->CheckAgreement();
      EXPECT_EQ(ExitCodeOf(status), 76);
      EXPECT_THAT(std::string(status.message()),
                  ::testing::HasSubstr(size == 3 ? "found others on rank 1;" : "no majority among 2 ranks"));
    });
  }
}

}  // namespace
}  // namespace ingot
