// The global stream of tokens is the same however it is read: stopped and resumed, by any number of ranks, in any
// micro-batch; with packing, masks, mixtures, stages and several epochs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data_pipeline/hash.h"
#include "data_pipeline/loader.h"
#include "tests/data_pipeline/test_dataset.h"

namespace ingot {
namespace {

using ::testing::HasSubstr;

// A hash of each sequence with everything that belongs to it.
std::vector<uint64_t> HashesOf(const TokenBatch& batch) {
  std::vector<uint64_t> hashes;
  for (int64_t b = 0; b < batch.B; ++b) {
    uint64_t hash = 0;
    for (const auto* values : {&batch.tokens, &batch.targets, &batch.document_start, &batch.positions}) {
      const auto* row = reinterpret_cast<const char*>(values->data() + b * batch.T);
      hash = CombineHash(hash, HashBytes({row, static_cast<size_t>(batch.T) * sizeof(int32_t)}));
    }
    hashes.push_back(hash);
  }
  return hashes;
}

struct Case {
  const char* name;
  LoaderPlan plan;
  bool several = false;
};

std::vector<Case> Cases() {
  const FimPlan fim = {.rate = 0.5, .prefix = 300, .middle = 301, .suffix = 302};
  const std::vector<MixtureStage> stages = {{0, {5, 3, 2}}, {1024, {1, 0, 1}}, {2048, {0.2, 0.3, 0.5}}};
  return {
      {"Plain", {.T = 24, .seed = 1}},
      {"Masks", {.T = 24, .seed = 1, .mask_documents = true}},
      {"Blocks", {.T = 24, .seed = 1, .shuffle_tokens = 700}},
      {"BestFit", {.T = 24, .seed = 1, .mask_documents = true, .packing = Packing::kBestFit}},
      {"Fim", {.T = 24, .seed = 1, .fim = fim}},
      {"Mixture", {.T = 24, .seed = 1, .mask_documents = true, .stages = stages}, true},
      {"Everything",
       {.T = 24, .seed = 1, .mask_documents = true, .packing = Packing::kBestFit, .fim = fim, .stages = stages},
       true},
  };
}

class StreamTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    for (const int documents : {150, 100, 60}) {
      const std::string name = std::to_string(documents);
      const std::string input = dir_.Write(name + ".jsonl", AsJsonl(SomeDocuments(documents)));
      sources_.push_back(
          MustBuild({.inputs = {input}, .output = dir_ / name, .shard_tokens = 1000}, ByteEncoder(dir_)));
      if (!GetParam().several) break;
    }
  }
  std::unique_ptr<Loader> Open(int64_t B) const {
    LoaderPlan plan = GetParam().plan;
    plan.B = B;
    auto loader = Loader::Create(sources_, plan);
    EXPECT_TRUE(loader.ok()) << loader.status();
    return *std::move(loader);
  }
  std::vector<uint64_t> Expected(int64_t count) const {
    const auto loader = Open(1);
    std::vector<uint64_t> hashes;
    TokenBatch batch;
    for (int64_t g = 0; g < count; ++g) {
      EXPECT_TRUE(loader->Read(g, batch).ok());
      hashes.push_back(HashesOf(batch)[0]);
    }
    return hashes;
  }
  TestDirectory dir_;
  std::vector<Dataset> sources_;
};

constexpr int64_t kCount = 3360;  // several epochs of each source, and all stages

TEST_P(StreamTest, IsTheSameForAnyRanksAndMicroBatches) {
  const std::vector<uint64_t> expected = Expected(kCount);
  ASSERT_GT(kCount, 2 * Open(1)->windows());
  for (const int64_t W : {1, 2, 4, 8}) {
    for (const int64_t B : {1, 3, 7}) {
      for (int64_t rank = 0; rank < W; ++rank) {
        const auto loader = Open(B);
        loader->Start(rank * B, W * B);
        for (int64_t first = rank * B; first + B <= kCount; first += W * B) {
          const std::vector<uint64_t> got = HashesOf(loader->Next());
          for (int64_t b = 0; b < B; ++b) {
            ASSERT_EQ(got[static_cast<size_t>(b)], expected[static_cast<size_t>(first + b)]) << W << " " << B;
          }
        }
      }
    }
  }
}

TEST_P(StreamTest, IsTheSameStoppedAndResumedTwice) {
  const std::vector<uint64_t> expected = Expected(kCount);
  const int64_t B = 5;
  for (int64_t stop = 1; stop < kCount / B; stop += 61) {
    const int64_t again = stop + (kCount / B - stop) / 2;
    int64_t step = 0;
    for (const int64_t end : {stop, again, std::min(again + 9, kCount / B)}) {
      const auto loader = Open(B);  // a new process: nothing but the step is left
      loader->Start(step * B, B);
      for (; step < end; ++step) {
        const std::vector<uint64_t> got = HashesOf(loader->Next());
        for (int64_t b = 0; b < B; ++b) {
          ASSERT_EQ(got[static_cast<size_t>(b)], expected[static_cast<size_t>(step * B + b)]) << stop;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Plans, StreamTest, ::testing::ValuesIn(Cases()),
                         [](const auto& param) { return std::string(param.param.name); });

class SourcesTest : public ::testing::Test {
 protected:
  Dataset Build(const std::string& name, int documents, const TextEncoder& encoder) {
    const std::string input = dir_.Write(name + ".jsonl", AsJsonl(SomeDocuments(documents)));
    return MustBuild({.inputs = {input}, .output = dir_ / name}, encoder);
  }
  TestDirectory dir_;
};

TEST_F(SourcesTest, OtherTokenizersAreRefused) {
  TextEncoder other = ByteEncoder(dir_);
  const Dataset one = Build("one", 100, ByteEncoder(dir_));
  dir_.Write("other/tokenizer.json", "{\"b\": \"another\"}\n");
  other.directory = dir_ / "other";
  const Dataset two = Build("two", 100, other);
  const auto loader = Loader::Create({one, two}, {.B = 1, .T = 8});
  EXPECT_THAT(std::string(loader.status().message()), HasSubstr("two: expected the tokenizer of"));
}

TEST_F(SourcesTest, AShortSourceWithoutWeightIsNoFault) {
  const Dataset one = Build("one", 300, ByteEncoder(dir_)), two = Build("two", 20, ByteEncoder(dir_));
  LoaderPlan plan = {.B = 1, .T = 2000, .stages = {{0, {1, 0}}}};
  EXPECT_TRUE(Loader::Create({one, two}, plan).ok());
  plan.stages = {{0, {1, 0.5}}};
  EXPECT_THAT(std::string(Loader::Create({one, two}, plan).status().message()),
              HasSubstr("two: the training split has"));
}

TEST_F(SourcesTest, ValidationReadsEveryWindowOfEverySourceOnce) {
  const std::vector<Dataset> sources = {Build("one", 900, ByteEncoder(dir_)), Build("two", 600, ByteEncoder(dir_))};
  const int64_t T = 16;
  LoaderPlan plan = {.split = Split::kValidation, .B = 1, .T = T, .shuffle = false};
  std::vector<std::vector<int32_t>> expected, got;
  TokenBatch batch;
  for (const Dataset& source : sources) {
    const auto loader = Loader::Create(source, plan);
    for (int64_t i = 0; i < (*loader)->windows(); ++i) {
      EXPECT_TRUE((*loader)->Read(i, batch).ok());
      expected.push_back(batch.tokens);
    }
  }
  const auto both = Loader::Create(sources, plan);
  ASSERT_EQ((*both)->windows(), static_cast<int64_t>(expected.size()));
  for (int64_t i = 0; i < (*both)->windows(); ++i) {
    EXPECT_TRUE((*both)->Read(i, batch).ok());
    got.push_back(batch.tokens);
  }
  EXPECT_TRUE(std::is_permutation(got.begin(), got.end(), expected.begin()));
  EXPECT_NE(got, expected) << "the sources are spread";
}

TEST_F(SourcesTest, SharesCountEpochs) {
  const std::vector<Dataset> sources = {Build("one", 900, ByteEncoder(dir_)), Build("two", 100, ByteEncoder(dir_))};
  const auto loader = Loader::Create(sources, {.B = 1, .T = 16, .stages = {{0, {1, 1}}}});
  const auto shares = (*loader)->Shares(20 * kMixtureBlock);
  ASSERT_EQ(shares.size(), 2u);
  EXPECT_EQ(shares[0].sequences, 10 * kMixtureBlock);
  EXPECT_EQ(shares[1].sequences, 10 * kMixtureBlock);
  EXPECT_EQ(shares[0].rows + shares[1].rows, (*loader)->windows());
  EXPECT_GT(shares[1].epochs(), 5 * shares[0].epochs());
}

TEST_F(SourcesTest, ADamagedIdEndsTheStreamWithItsName) {
  const Dataset built = Build("one", 200, ByteEncoder(dir_));
  // A shard whose checksums are right but whose id is not: written as such.
  {
    const std::string path = dir_ / "one/training-00000.shard";
    std::string bytes = ReadAll(path);
    for (size_t i = 0; i < 4000; ++i) bytes[static_cast<size_t>(kShardHeaderBytes) + i] = '\x7F';
    dir_.Write("one/training-00000.shard", bytes);
  }
  auto shard = Shard::Open(dir_ / "one/training-00000.shard");
  ASSERT_TRUE(shard.ok()) << shard.status();
  const auto opened = Dataset::Open(dir_ / "one");
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("checksum of the tokens is wrong"));
  // The dataset opened before sees the file's new bytes through a mapping only if it is the same file; a loader over a
  // large dataset, whose checksums are not compared, must end with an error.
  auto state = std::make_shared<DatasetState>();
  state->directory = dir_ / "one";
  state->manifest = built.state().manifest;
  state->streams[0].Add(*std::move(shard));
  const auto loader = Loader::Create(Dataset(std::move(state)), {.B = 2, .T = 16});
  ASSERT_TRUE(loader.ok()) << loader.status();
  (*loader)->Start(0, 2);
  int batches = 0;
  while ((*loader)->status().ok() && batches < 1000) (void)(*loader)->Next(), ++batches;
  EXPECT_THAT(std::string((*loader)->status().message()), HasSubstr("one is damaged: a token id outside"));
  EXPECT_EQ((*loader)->Next().target_count, 0);
}

}  // namespace
}  // namespace ingot
