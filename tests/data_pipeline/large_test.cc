// Sizes beyond 32 bits, in files with holes; and that a step takes no memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "data_pipeline/inspect.h"
#include "data_pipeline/loader.h"
#include "tests/data_pipeline/test_dataset.h"

namespace {
thread_local int64_t allocations = 0;
}

// Counted for the whole test program; each thread counts its own. All forms that end in malloc, so that sanitizers see
// each piece taken and given back in one way. Not inlined: g++ would see malloc meet delete.
__attribute__((noinline)) void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size);
}
__attribute__((noinline)) void* operator new(size_t size) {
  if (void* const memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}
__attribute__((noinline)) void operator delete(void* memory) noexcept { std::free(memory); }
__attribute__((noinline)) void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace ingot {
namespace {

// 5 G tokens in a shard of 10 GB, and a second one behind it.
class LargeTest : public ::testing::Test {
 protected:
  static constexpr int64_t kTokens = 5'000'000'000;
  void SetUp() override {
    auto state = std::make_shared<DatasetState>();
    state->directory = dir_.path();
    state->manifest.vocabulary = 300;
    state->manifest.end_of_text = 0;
    for (const char* name : {"a.shard", "b.shard"}) {
      const absl::Status written = WriteSparseShard(dir_ / name, 300, 0, kTokens, ends_);
      if (!written.ok()) GTEST_SKIP() << written;
      auto shard = Shard::Open(dir_ / name);
      ASSERT_TRUE(shard.ok()) << shard.status();
      ASSERT_GT(shard->bytes().size(), size_t{1} << 33);
      state->streams[0].Add(*std::move(shard));
    }
    state->manifest.split(Split::kTraining).tokens = 2 * kTokens;
    dataset_ = std::make_unique<Dataset>(std::move(state));
  }
  TestDirectory dir_;
  const std::vector<uint64_t> ends_ = {4, 4'294'967'300, 4'294'967'310, kTokens};
  std::unique_ptr<Dataset> dataset_;
};

TEST_F(LargeTest, WindowsAndMasksAreFoundBehind32Bits) {
  const int64_t T = 20;
  const auto loader = Loader::Create(*dataset_, {.B = 1, .T = T, .shuffle = false, .mask_documents = true});
  ASSERT_TRUE(loader.ok()) << loader.status();
  EXPECT_EQ((*loader)->windows(), (2 * kTokens - 1) / T);
  TokenBatch batch;
  for (const int64_t shard : {0, 1}) {
    const int64_t place = shard * kTokens + 4'294'967'300;
    // place is a multiple of T: the document before ends at the window's border
    ASSERT_TRUE((*loader)->Read(place / T, batch).ok());
    EXPECT_EQ(batch.document_start[9], 0);
    EXPECT_EQ(batch.document_start[10], 10);
    EXPECT_EQ(batch.targets[9], -1);
    EXPECT_EQ(batch.target_count, T - 1);
  }
}

TEST_F(LargeTest, ShuffledAndPackedPlansStartAtOnce) {
  for (const bool packed : {false, true}) {
    const LoaderPlan plan = {.B = 2,
                             .T = 4096,
                             .seed = 3,
                             .mask_documents = true,
                             .packing = packed ? Packing::kBestFit : Packing::kConcatenate};
    const auto loader = Loader::Create(*dataset_, plan);
    ASSERT_TRUE(loader.ok()) << loader.status();
    TokenBatch batch;
    EXPECT_TRUE((*loader)->Read((*loader)->windows() - 2, batch).ok());
    EXPECT_TRUE((*loader)->Read(int64_t{1} << 50, batch).ok());
  }
}

TEST_F(LargeTest, InspectCountsDocumentsOf4GTokens) {
  const SplitReport report = InspectStream(dataset_->state().stream(Split::kTraining), 0, 1);
  EXPECT_EQ(report.documents, 8);
  EXPECT_EQ(report.lengths.longest, 4'294'967'296);
  EXPECT_EQ(report.lengths.bins[32], 2);
}

TEST(LoaderMemory, AStepAllocatesNothing) {
  const TestDirectory dir;
  const std::string input = dir.Write("a.jsonl", AsJsonl(SomeDocuments(2000)));
  const Dataset dataset = MustBuild({.inputs = {input}, .output = dir / "a"}, ByteEncoder(dir));
  LoaderPlan plan = {.B = 4, .T = 32, .seed = 2, .mask_documents = true, .packing = Packing::kBestFit};
  plan.fim = {.rate = 0.5, .prefix = 300, .middle = 301, .suffix = 302};
  plan.stages = {{0, {1, 1}}};
  for (const bool everything : {false, true}) {
    const auto loader =
        everything ? Loader::Create({dataset, dataset}, plan) : Loader::Create(dataset, {.B = 4, .T = 32});
    ASSERT_TRUE(loader.ok()) << loader.status();
    TokenBatch batch;
    for (int64_t i = 0; i < 100; ++i) EXPECT_TRUE((*loader)->Read(4 * i, batch).ok());
    const int64_t before = allocations;
    for (int64_t i = 100; i < 300; ++i) EXPECT_TRUE((*loader)->Read(4 * i, batch).ok());
    EXPECT_EQ(allocations, before) << everything;
  }
}

}  // namespace
}  // namespace ingot
