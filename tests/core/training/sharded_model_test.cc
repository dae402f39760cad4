// ZeRO stages 2 and 3 with real forward and backward passes, ranks as threads.
#include "core/training/sharded_model.h"

#include <gtest/gtest.h>

#include "core/training/data_parallel.h"
#include "core/training/memory_plan.h"
#include "tests/core/model/test_models.h"
#include "tests/core/training/rank_threads.h"
#include "tests/core/training/tiny_run.h"
#include "tests/kernels/schedules.h"

namespace ingot {
namespace {

constexpr int64_t kMicroBatches = 6, kB = 2, kT = 8;

// Several blocks of parameters, so that shards end inside layers.
ModelDims Dims(Architecture architecture, bool tied) {
  ModelDims dims = {.L = 3, .C = 64, .H = 2, .K = 2, .D = 32, .F = 160, .V = 1500, .T = kT};
  dims.architecture = architecture;
  dims.tied_embeddings = tied;
  return dims;
}

struct StepOutcome {
  std::vector<float> gradients;
  std::vector<double> nats;  // by micro-batch
};

// A step of one rank, gradients of what it keeps.
StepOutcome Step(Model& model, DataParallel& parallel) {
  StepOutcome outcome;
  EXPECT_TRUE(model.Initialize(5).ok());
  EXPECT_TRUE(parallel.TakeParameters().ok());
  const ParallelPlan::Deal deal = parallel.deal();
  parallel.Begin();
  for (int64_t i = 0; i < deal.count; ++i) {
    const auto seed = static_cast<uint64_t>(deal.MicroBatch(i));
    const TestBatch batch(kB, kT, model.dims().V, false, seed);
    const auto nats = model.Accumulate(batch.input, 1, 0);
    EXPECT_TRUE(nats.ok()) << nats.status();
    outcome.nats.push_back(*nats);
    EXPECT_TRUE(parallel.Done(deal.MicroBatch(i)).ok());
  }
  EXPECT_TRUE(parallel.Sum().ok());
  outcome.gradients = GradientsOf(model);
  return outcome;
}

std::unique_ptr<Model> ModelOf(const ModelDims& dims, const ParallelPlan& plan, int64_t rank, RunShape shape) {
  shape.B = kB;
  shape.T = kT;
  shape.training = true;
  shape.shard = plan.ShardOf(rank, MakeParameterTable(dims).flat_size);
  auto model = Model::Create(dims, shape);
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

class ShardedModelTest : public RankThreads {
 protected:
  struct Case {
    int64_t ranks, zero;
  };
  void ExpectTheBitsOfOneRank(const ModelDims& dims, const RunShape& shape, DType wire,
                              const std::vector<Case>& cases) {
    ParallelPlan plan = {.ranks = 1, .micro_batches = kMicroBatches, .leaves = kMicroBatches, .zero = 1, .wire = wire};
    const auto whole = ModelOf(dims, plan, 0, shape);
    const auto communicator = SingleCommunicator();
    const auto alone = DataParallel::Create(plan, *communicator, *whole);
    ASSERT_TRUE(alone.ok()) << alone.status();
    const StepOutcome expected = Step(*whole, **alone);
    for (const auto& [ranks, zero] : cases) {
      plan.ranks = ranks;
      plan.zero = zero;
      ForConnectedRanks(ranks, [&, plan](Ranks& place) {
        const auto model = ModelOf(dims, plan, place.rank(), shape);
        const auto parallel = DataParallel::Create(plan, place.communicator(), *model);
        ASSERT_TRUE(parallel.ok()) << parallel.status();
        const StepOutcome found = Step(*model, **parallel);
        const Interval mine = (*parallel)->updated();
        EXPECT_TRUE(found.gradients ==
                    std::vector<float>(expected.gradients.begin() + mine.begin, expected.gradients.begin() + mine.end))
            << plan.ranks << " ranks, stage " << plan.zero;
        for (size_t i = 0; i < found.nats.size(); ++i) {
          EXPECT_EQ(found.nats[i], expected.nats[(*parallel)->deal().MicroBatch(static_cast<int64_t>(i))]);
        }
      });
    }
  }
  void OnCpu(const ModelDims& dims, const RunShape& shape) {
    ExpectTheBitsOfOneRank(dims, shape, DType::kF32, {{2, 2}, {3, 3}, {2, 3}, {6, 2}});
  }
};

TEST_F(ShardedModelTest, LlamaHasTheBitsOfOneRank) { OnCpu(Dims(Architecture::kLlama, true), {}); }
TEST_F(ShardedModelTest, UntiedAndRecomputedHasTheBitsOfOneRank) {
  OnCpu(Dims(Architecture::kLlama, false), {.recompute_block = true});
}
TEST_F(ShardedModelTest, Gpt2HasTheBitsOfOneRank) { OnCpu(Dims(Architecture::kGpt2, true), {}); }

TEST_F(ShardedModelTest, ADeviceHasTheBitsOfOneRank) {
  if (!Backend::Create(Device::kCuda).ok()) GTEST_SKIP() << "no CUDA device";
  const ModelDims dims = Dims(Architecture::kLlama, true);
  ForEachSchedule([&] {
    ExpectTheBitsOfOneRank(dims, {.device = Device::kCuda, .dtype = DType::kBf16}, DType::kF32, {{2, 2}, {3, 3}});
    ExpectTheBitsOfOneRank(dims, {.device = Device::kCuda}, DType::kBf16, {{2, 3}});
  });
}

class PlannedMemory : public RankThreads {
 protected:
  void SetUp() override { MakeTinyDataset(directory_, "data", 400); }

  RunConfig Config(int64_t zero) {
    RunConfig config;
    for (const std::string& setting :
         {std::string("model.layers=3"), std::string("model.channels=64"), std::string("model.heads=2"),
          std::string("model.vocabulary=2000"), std::string("data.sequence_length=16"),
          std::string("training.micro_batch=2"), std::string("training.tokens_per_step=256"),
          absl::StrCat("parallel.zero=", zero),
          std::string(zero % 2 == 0 ? "optimizer.moments_dtype=bf16" : "parallel.wire=bf16"),
          "data.path=" + directory_ / "data"}) {
      EXPECT_TRUE(ApplySetting(config, setting).ok()) << setting;
    }
    return config;
  }
};

TEST_F(PlannedMemory, IsWhatIsTaken) {
  for (const int64_t ranks : {1, 2, 4}) {
    for (int64_t zero = 0; zero <= 3; ++zero) {
      const RunConfig config = Config(zero);
      const auto plan = ParallelPlan::Of(config, ranks);
      ASSERT_TRUE(plan.ok()) << plan.status();
      int64_t planned = 0;
      for (int64_t rank = 0; rank < ranks; ++rank) planned += PlanOf(config, Device::kCpu, *plan, rank).total();
      const int64_t before = Arena::LiveBytes();
      ForRanks(ranks, [&](const std::shared_ptr<Ranks>& place) {
        const auto trainer = Trainer::Create(config, directory_ / absl::StrCat("run-", zero), Device::kCpu, place);
        ASSERT_TRUE(trainer.ok()) << trainer.status();
        ASSERT_TRUE(place->communicator().Barrier().ok());  // all have what they take
        EXPECT_EQ(Arena::LiveBytes() - before, planned) << ranks << " ranks, stage " << zero;
        ASSERT_TRUE(place->communicator().Barrier().ok());
      });
    }
  }
}

}  // namespace
}  // namespace ingot
