#include "core/training/checkpoint_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/core/training/checkpoint_fixture.h"

namespace ingot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> NamesOf(const std::vector<CheckpointFile>& files) {
  std::vector<std::string> names;
  for (const CheckpointFile& file : files) names.push_back(file.name);
  return names;
}

TEST(CutCheckpoint, ASmallModelHasOneFileOfEach) {
  const ParameterTable table = MakeParameterTable(LlamaDims());
  const std::vector<CheckpointFile> files = CutCheckpoint(table, {});
  EXPECT_THAT(NamesOf(files), ElementsAre("model.safetensors", "training_state/optimizer-00000-of-00001.safetensors"));
  EXPECT_EQ(files[0].bytes, 4 * table.parameters);
  EXPECT_EQ(files[1].bytes, 8 * table.parameters);
  EXPECT_EQ(CutCheckpoint(table, {.weights = DType::kBf16, .moments = DType::kBf16})[1].bytes, 8 * table.parameters)
      << "two bf16 moments and the master";
}

// Weights 1,000, 3,000, 500, 500 and 2,500 bytes.
ParameterTable FiveParameters() {
  ParameterTable table;
  for (const int64_t count : {250, 750, 125, 125, 625}) {
    ParameterSpec spec;
    spec.name = std::string(1, static_cast<char>('a' + table.specs.size()));
    spec.shape = {count};
    spec.offset = table.flat_size;
    table.flat_size += (count + 63) / 64 * 64;
    table.parameters += count;
    table.specs.push_back(spec);
  }
  return table;
}

TEST(CutCheckpoint, FilesEndBeforeTheLimitAndOneParameterIsNeverCut) {
  const std::vector<CheckpointFile> files = CutCheckpoint(FiveParameters(), {.shard_bytes = 2000});
  EXPECT_THAT(NamesOf(files), ElementsAre("model-00001-of-00004.safetensors", "model-00002-of-00004.safetensors",
                                          "model-00003-of-00004.safetensors", "model-00004-of-00004.safetensors",
                                          "training_state/optimizer-00000-of-00004.safetensors",
                                          "training_state/optimizer-00001-of-00004.safetensors",
                                          "training_state/optimizer-00002-of-00004.safetensors",
                                          "training_state/optimizer-00003-of-00004.safetensors"));
  std::vector<int64_t> bytes;
  for (const CheckpointFile& file : files) bytes.push_back(file.bytes);
  EXPECT_THAT(bytes, ElementsAre(1000, 3000, 1000, 2500, 2000, 6000, 2000, 5000));
  EXPECT_EQ(files[2].first, 2u);
  EXPECT_EQ(files[2].last, 4u);
  EXPECT_EQ(files[2].elements, (Interval{1024, 1280}));
}

TEST(CutCheckpoint, EveryParameterIsInOneFileOfEachKind) {
  const ParameterTable table = MakeParameterTable(Gpt2Dims());
  for (const int64_t shard_bytes : {1, 1000, 5000, 50000}) {
    size_t next[2] = {0, 0};
    for (const CheckpointFile& file : CutCheckpoint(table, {.shard_bytes = shard_bytes})) {
      EXPECT_EQ(file.first, std::exchange(next[file.optimizer], file.last));
      EXPECT_TRUE(file.bytes <= shard_bytes || file.last == file.first + 1) << file.name;
      EXPECT_EQ(file.elements.begin, table.specs[file.first].offset);
    }
    EXPECT_EQ(next[0], table.specs.size());
    EXPECT_EQ(next[1], table.specs.size());
  }
}

TEST(CutCheckpoint, TooManyFilesAreRefusedByTheFieldsName) {
  ParameterTable table;
  for (int64_t i = 0; i < 800; ++i) {
    table.specs.emplace_back();
    table.specs.back().shape = {512};
    table.specs.back().offset = 512 * i;
  }
  const CheckpointFormat small = {.shard_bytes = 2048}, large = {.shard_bytes = 1 << 20};
  EXPECT_THAT(std::string(CheckNumberOfFiles(CutCheckpoint(table, small), small).message()),
              HasSubstr("checkpoint.shard_bytes: expected so many bytes that a checkpoint has at most 1500 files"));
  EXPECT_TRUE(CheckNumberOfFiles(CutCheckpoint(table, large), large).ok());
}

TEST(DealInOrder, IsBalancedAndInOrder) {
  EXPECT_THAT(DealInOrder({10, 10, 10, 10}, 2), ElementsAre(0, 0, 1, 1));
  EXPECT_THAT(DealInOrder({10, 10}, 4), ElementsAre(1, 3));
  EXPECT_THAT(DealInOrder({1, 100, 1}, 2), ElementsAre(0, 1, 1));
  EXPECT_THAT(DealInOrder({0, 0}, 3), ElementsAre(0, 0));
  constexpr int64_t kHuge = int64_t{1} << 60;
  EXPECT_THAT(DealInOrder({kHuge, kHuge}, 1024), ElementsAre(256, 768)) << "no overflow";
}

TEST(DealFiles, SpreadsTheBytesAndKeepsNeighboursTogether) {
  const ParameterTable table = MakeParameterTable(LlamaDims());
  for (const int64_t shard_bytes : {4096, 20000, 1 << 30}) {
    for (int64_t ranks = 1; ranks <= 9; ++ranks) {
      const CheckpointFormat format = {.shard_bytes = shard_bytes};
      const std::vector<CheckpointFile> files = CutCheckpoint(table, format);
      const std::vector<int64_t> writers = DealFiles(files, ranks);
      std::vector<int64_t> bytes(ranks);
      int64_t all = 0, largest = 0;
      for (size_t i = 0; i < files.size(); ++i) {
        ASSERT_TRUE(writers[i] >= 0 && writers[i] < ranks);
        bytes[writers[i]] += files[i].bytes;
        all += files[i].bytes;
        largest = std::max(largest, files[i].bytes);
        if (i > 0 && files[i].optimizer == files[i - 1].optimizer) {
          EXPECT_GE(writers[i], writers[i - 1]);
        }
      }
      EXPECT_LE(*std::max_element(bytes.begin(), bytes.end()), all / ranks + largest);
      for (int64_t rank = 0; rank < ranks; ++rank) {
        const FlatNeeds needs = NeedsOf(rank, files, writers, format);
        EXPECT_LE(needs.parameters.size(), 1u);
        EXPECT_LE(needs.moments.size(), 1u);
      }
    }
  }
}

TEST(NeedsOf, MastersAreParametersToo) {
  const ParameterTable table = MakeParameterTable(LlamaDims());
  const CheckpointFormat format = {.weights = DType::kBf16};
  const std::vector<CheckpointFile> files = CutCheckpoint(table, format);
  const std::vector<int64_t> writers = DealFiles(files, 2);
  EXPECT_THAT(writers, ElementsAre(0, 1));
  EXPECT_THAT(NeedsOf(1, files, writers, format).parameters, ElementsAre(files[1].elements));
  EXPECT_THAT(NeedsOf(1, files, writers, {}).parameters, ElementsAre());
  EXPECT_THAT(NeedsOf(0, files, writers, format).moments, ElementsAre());
}

TEST(FlatParts, AreJoinedAndFound) {
  EXPECT_THAT(Joined({{5, 9}, {0, 2}, {9, 12}, {3, 3}, {6, 7}}), ElementsAre(Interval{0, 2}, Interval{5, 12}));
  EXPECT_EQ(Intersection({0, 5}, {3, 9}), (Interval{3, 5}));
  EXPECT_EQ(Intersection({0, 3}, {5, 9}).size(), 0);
  float values[6] = {};
  const FlatParts parts(DType::kF32,
                        {{{2, 4}, Tensor(values, DType::kF32, {2})}, {{10, 14}, Tensor(values + 2, DType::kF32, {4})}});
  EXPECT_EQ(parts.At({11, 14}), values + 3);
  EXPECT_DEATH(parts.At({3, 5}), "are not here");
}

}  // namespace
}  // namespace ingot
