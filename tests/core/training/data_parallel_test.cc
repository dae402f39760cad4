// Ranks as threads of this process, each with a model of its own.
#include "core/training/data_parallel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "distributed/exit_codes.h"
#include "kernels/gradient_norm.h"
#include "tests/core/model/test_models.h"
#include "tests/core/training/rank_threads.h"
#include "tests/distributed/add_into.h"
#include "tests/kernels/schedules.h"

namespace ingot {
namespace {

class DataParallelTest : public RankThreads {
 protected:
  static std::unique_ptr<Model> TinyModel(Device device = Device::kCpu, int64_t V = 2048) {
    const ModelDims dims = {.L = 1, .C = 64, .H = 2, .K = 2, .D = 32, .F = 64, .V = V, .T = 8};
    auto model = Model::Create(dims, {.B = 1, .T = 8, .training = true, .device = device});
    EXPECT_TRUE(model.ok()) << model.status();
    EXPECT_TRUE((*model)->Initialize(5).ok());
    return *std::move(model);
  }
  void ExpectTheSumOfTheTree(Device device, const std::vector<int64_t>& sizes);
};

void Backward(Model& model, int64_t micro) {
  const TestBatch batch(1, 8, model.dims().V, false, static_cast<uint64_t>(micro));
  EXPECT_TRUE(model.Accumulate(batch.input, 1, 0).ok());
}

ParallelPlan PlanFor(int64_t ranks, int64_t zero) {
  return {.ranks = ranks, .micro_batches = 10, .leaves = 6, .zero = zero};
}

// The definition, written out: leaves [lo, hi), each of which adds its micro-batches to a gradient of its own.
std::vector<float> TreeOf(Model& model, Interval leaves) {
  if (leaves.size() == 1) {
    model.ZeroGradients();
    const Interval micros = PlanFor(1, 1).MicroBatchesOf(leaves);
    for (int64_t micro = micros.begin; micro < micros.end; ++micro) Backward(model, micro);
    return GradientsOf(model);
  }
  const int64_t mid = SplitOf(leaves.begin, leaves.end);
  std::vector<float> sum = TreeOf(model, {leaves.begin, mid});
  AddInto(sum.data(), TreeOf(model, {mid, leaves.end}).data(), static_cast<int64_t>(sum.size()));
  return sum;
}

// Of the second of two steps, for which the first must have left room.
std::vector<float> SumOf(Model& model, Communicator& communicator, int64_t zero) {
  const auto parallel = DataParallel::Create(PlanFor(communicator.size(), zero), communicator, model);
  EXPECT_TRUE(parallel.ok()) << parallel.status();
  for (int step = 0; step < 2; ++step) {
    (*parallel)->Begin();
    const ParallelPlan::Deal deal = (*parallel)->deal();
    for (int64_t i = 0; i < deal.count; ++i) {
      Backward(model, deal.MicroBatch(i));
      EXPECT_TRUE((*parallel)->Done(deal.MicroBatch(i)).ok());
    }
    EXPECT_TRUE((*parallel)->Sum().ok());
  }
  const Interval mine = (*parallel)->updated();
  const std::vector<float> sum = GradientsOf(model);
  return {sum.begin() + mine.begin, sum.begin() + mine.end};
}

void DataParallelTest::ExpectTheSumOfTheTree(Device device, const std::vector<int64_t>& sizes) {
  const std::unique_ptr<Model> model = TinyModel(device);
  const std::vector<float> expected = TreeOf(*model, {0, 6});
  EXPECT_TRUE(SumOf(*model, Ranks::Alone()->communicator(), 1) == expected);
  EXPECT_TRUE(TreeOf(*model, {0, 6}) == expected) << "the model's gradients are where they were";
  for (const int64_t size : sizes) {
    ForConnectedRanks(size, [&](Ranks& ranks) {
      const std::unique_ptr<Model> own = TinyModel(device);
      EXPECT_TRUE(SumOf(*own, ranks.communicator(), 0) == expected) << size << " ranks";
      const Interval mine = PlanFor(size, 1).UpdatedBy(ranks.rank(), own->table().flat_size);
      EXPECT_TRUE(SumOf(*own, ranks.communicator(), 1) ==
                  std::vector<float>(expected.begin() + mine.begin, expected.begin() + mine.end))
          << size << " ranks";
    });
  }
}

TEST_F(DataParallelTest, TheSumIsThatOfTheTreeForEveryNumberOfRanks) { ExpectTheSumOfTheTree(Device::kCpu, {2, 3, 5}); }
TEST_F(DataParallelTest, TheSumOnADeviceIsThatOfTheTree) {
  if (!Backend::Create(Device::kCuda).ok()) GTEST_SKIP() << "no CUDA device";
  ForEachSchedule([&] { ExpectTheSumOfTheTree(Device::kCuda, {2, 3}); });
}

double Nats(int64_t micro) { return 0.1 * static_cast<double>(micro); }

TEST_F(DataParallelTest, NumbersAreThoseOfAllRanks) {
  ForConnectedRanks(3, [&](Ranks& ranks) {
    const std::unique_ptr<Model> model = TinyModel();
    const ParallelPlan plan = {.ranks = 3, .micro_batches = 10, .leaves = 6, .zero = 1};
    const auto parallel = DataParallel::Create(plan, ranks.communicator(), *model);
    ASSERT_TRUE(parallel.ok()) << parallel.status();
    StepNumbers mine;
    mine.stop_signal = ranks.rank() == 1 ? 15 : 0;
    mine.targets = 100 + ranks.rank();
    const ParallelPlan::Deal deal = (*parallel)->deal();
    const Interval updated = (*parallel)->updated();
    for (int64_t i = 0; i < deal.count; ++i) mine.nats.push_back(Nats(deal.MicroBatch(i)));
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
    ForConnectedRanks(size, [&](Ranks& ranks) {
      const std::unique_ptr<Model> model = TinyModel(Device::kCpu, /*V=*/20000);
      const auto parallel =
          DataParallel::Create({.ranks = size, .micro_batches = 4, .leaves = 4}, ranks.communicator(), *model);
      ASSERT_TRUE(parallel.ok()) << parallel.status();
      EXPECT_TRUE((*parallel)->CheckAgreement().ok());
      const Tensor parameters = model->parameters();
      if (ranks.rank() == 1) static_cast<uint32_t*>(parameters.ptr)[Count(parameters) - 1] ^= 1;  // one bit
      const absl::Status status = (*parallel)->CheckAgreement();
      EXPECT_EQ(ExitCodeOf(status), 76);
      EXPECT_THAT(std::string(status.message()),
                  ::testing::HasSubstr(size == 3 ? "found others on rank 1;" : "no majority among 2 ranks"));
    });
  }
}

}  // namespace
}  // namespace ingot
