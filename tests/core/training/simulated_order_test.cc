// The data of a run of 64 to 1,024 ranks: together they read what one rank reads, each sequence once, in one order.
#include <gtest/gtest.h>

#include "core/training/parallel_plan.h"
#include "data_pipeline/loader.h"
#include "tests/data_pipeline/test_dataset.h"

namespace ingot {
namespace {

TEST(SimulatedOrder, AThousandRanksReadWhatOneReads) {
  constexpr int64_t M = 1024, B = 2, T = 16, kSteps = 2;
  TestDirectory dir;
  const std::string input = dir.Write("documents.jsonl", AsJsonl(SomeDocuments(300)));
  const Dataset dataset = MustBuild({.inputs = {input}, .output = dir / "data"}, ByteEncoder(dir));
  const LoaderPlan order = {.B = B, .T = T, .seed = 9};
  const auto one = Loader::Create(dataset, order);
  ASSERT_TRUE(one.ok()) << one.status();
  RunConfig config;
  config.mutable_training()->set_micro_batch(B);
  config.mutable_data()->set_sequence_length(T);
  config.mutable_training()->set_tokens_per_step(M * B * T);
  config.mutable_parallel()->set_lanes(M);
  TokenBatch expected;
  for (const int64_t ranks : {64, 100, 256, 1024}) {
    const auto plan = ParallelPlan::Of(config, ranks);
    ASSERT_TRUE(plan.ok()) << plan.status();
    int64_t next = 0;  // micro-batch of a step that nobody has yet
    for (int64_t rank = 0; rank < ranks; ++rank) {
      const Interval micros = plan->MicroBatchesOf(plan->LeavesOf(rank));
      ASSERT_EQ(micros.begin, next);
      next = micros.end;
      (*one)->Start(micros.begin * B, M * B, micros.size());  // as the trainer does
      for (int64_t step = 0; step < kSteps; ++step) {
        for (int64_t micro = micros.begin; micro < micros.end; ++micro) {
          ASSERT_TRUE((*one)->Read((step * M + micro) * B, expected).ok());
          ASSERT_EQ((*one)->Next().tokens, expected.tokens) << ranks << " ranks, rank " << rank << ", step " << step;
        }
      }
    }
    EXPECT_EQ(next, M);
  }
}

}  // namespace
}  // namespace ingot
