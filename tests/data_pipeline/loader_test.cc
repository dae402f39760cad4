#include "data_pipeline/loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "data_pipeline/permutation.h"
#include "tests/data_pipeline/test_dataset.h"

namespace ingot {
namespace {

using ::testing::HasSubstr;

class LoaderTest : public ::testing::Test {
 protected:
  // Many shards, so that windows and documents cross their borders.
  Dataset Build(int documents, int64_t shard_tokens = 1000) {
    const std::string name = std::to_string(documents) + "-" + std::to_string(shard_tokens);
    const std::string input = dir_.Write(name + ".jsonl", AsJsonl(SomeDocuments(documents)));
    return MustBuild({.inputs = {input}, .output = dir_ / name, .shard_tokens = shard_tokens}, ByteEncoder(dir_));
  }
  static std::unique_ptr<Loader> Open(const Dataset& dataset, const LoaderPlan& plan) {
    auto loader = Loader::Create(dataset, plan);
    EXPECT_TRUE(loader.ok()) << loader.status();
    return *std::move(loader);
  }
  TestDirectory dir_;
};

std::vector<int32_t> Row(const std::vector<int32_t>& values, int64_t b, int64_t T) {
  return {values.begin() + b * T, values.begin() + (b + 1) * T};
}

// Sequences [0, count) of the stream, read one by one.
std::vector<std::vector<int32_t>> Sequences(const Dataset& dataset, LoaderPlan plan, int64_t count) {
  plan.B = 1;
  auto loader = Loader::Create(dataset, plan);
  std::vector<std::vector<int32_t>> rows;
  TokenBatch batch;
  for (int64_t i = 0; i < count; ++i) {
    EXPECT_TRUE((*loader)->Read(i, batch).ok());
    rows.push_back(batch.tokens);
  }
  return rows;
}

TEST_F(LoaderTest, WindowsInFileOrderCoverTheTokens) {
  const Dataset dataset = Build(300);
  const auto tokens = TokensOf(dataset, Split::kTraining);
  const int64_t T = 17;
  const auto loader = Open(dataset, {.B = 1, .T = T, .shuffle = false});
  ASSERT_EQ(loader->windows(), (static_cast<int64_t>(tokens.size()) - 1) / T);
  TokenBatch batch;
  for (int64_t i = 0; i < loader->windows(); ++i) {
    EXPECT_TRUE(loader->Read(i, batch).ok());
    for (int64_t t = 0; t < T; ++t) {
      const auto at = static_cast<size_t>(i * T + t), n = static_cast<size_t>(t);
      ASSERT_EQ(batch.tokens[n], tokens[at]);
      ASSERT_EQ(batch.targets[n], tokens[at + 1]);
      ASSERT_EQ(batch.document_start[n], 0);
      ASSERT_EQ(batch.positions[n], t);
    }
    ASSERT_EQ(batch.target_count, T);
  }
}

TEST_F(LoaderTest, EachEpochHasEveryWindowOnceInItsOwnOrder) {
  const Dataset dataset = Build(300);
  const int64_t T = 8;
  const int64_t n = Open(dataset, {.B = 1, .T = T})->windows();
  const auto in_order = Sequences(dataset, {.T = T, .shuffle = false}, n);
  const auto shuffled = Sequences(dataset, {.T = T, .seed = 5}, 3 * n);
  std::set<std::vector<std::vector<int32_t>>> orders = {in_order};
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const std::vector<std::vector<int32_t>> order(shuffled.begin() + epoch * n, shuffled.begin() + (epoch + 1) * n);
    EXPECT_TRUE(std::is_permutation(order.begin(), order.end(), in_order.begin()));
    EXPECT_TRUE(orders.insert(order).second) << "epoch " << epoch;
  }
  EXPECT_TRUE(orders.insert(Sequences(dataset, {.T = T, .seed = 6}, n)).second) << "another seed";
  EXPECT_EQ(Sequences(dataset, {.T = T, .seed = 5}, n), Sequences(dataset, {.T = T, .seed = 5}, n));
}

TEST_F(LoaderTest, EverySplitOverRanksGivesTheSameStream) {
  const Dataset dataset = Build(200);
  const int64_t T = 16, total = 2 * Open(dataset, {.B = 1, .T = T})->windows() / 24 * 24;
  const auto expected = Sequences(dataset, {.T = T, .seed = 9}, total);
  for (const auto& [B, W] : {std::pair<int64_t, int64_t>{24, 1}, {1, 1}, {6, 2}, {4, 3}, {3, 8}, {1, 4}}) {
    for (int64_t r = 0; r < W; ++r) {
      const auto loader = Open(dataset, {.B = B, .T = T, .seed = 9});
      loader->Start(r * B, W * B);
      for (int64_t first = r * B; first < total; first += W * B) {
        const TokenBatch& batch = loader->Next();
        for (int64_t b = 0; b < B; ++b) {
          ASSERT_EQ(Row(batch.tokens, b, T), expected[static_cast<size_t>(first + b)]) << B << " " << W << " " << r;
        }
      }
    }
  }
}

TEST_F(LoaderTest, RunsOfBatchesOfEachStep) {
  const Dataset dataset = Build(200);
  const int64_t T = 16, B = 2, M = 5, steps = 4;  // of 5 batches a step a rank has the second and the third
  const auto expected = Sequences(dataset, {.T = T, .seed = 9}, steps * M * B);
  const auto loader = Open(dataset, {.B = B, .T = T, .seed = 9});
  loader->Start(B, M * B, 2);
  for (int64_t step = 0; step < steps; ++step) {
    for (int64_t micro = 1; micro < 3; ++micro) {
      const TokenBatch& batch = loader->Next();
      for (int64_t b = 0; b < B; ++b) {
        ASSERT_EQ(Row(batch.tokens, b, T), expected[static_cast<size_t>((step * M + micro) * B + b)]);
      }
    }
  }
}

TEST_F(LoaderTest, ResumesAnywhere) {
  const Dataset dataset = Build(200);
  const LoaderPlan plan = {.B = 5, .T = 16, .seed = 1, .mask_documents = true};
  const auto loader = Open(dataset, plan), resumed = Open(dataset, plan);
  loader->Start(0, 5);
  TokenBatch read;
  for (int64_t number = 0; number < 100; ++number) {
    const TokenBatch& batch = loader->Next();
    if (number % 13 == 0) resumed->Start(5 * number, 5);
    const TokenBatch& again = resumed->Next();
    EXPECT_TRUE(resumed->Read(5 * number, read).ok());
    for (const TokenBatch* other : {&again, &std::as_const(read)}) {
      ASSERT_EQ(batch.tokens, other->tokens);
      ASSERT_EQ(batch.targets, other->targets);
      ASSERT_EQ(batch.document_start, other->document_start);
      ASSERT_EQ(batch.positions, other->positions);
      ASSERT_EQ(batch.target_count, other->target_count);
    }
  }
}

TEST_F(LoaderTest, MasksFollowTheDocuments) {
  const Dataset dataset = Build(300, 777);
  for (const int64_t T : {1, 2, 5, 64, 700}) {
    const auto loader = Open(dataset, {.B = 2, .T = T, .seed = 3, .mask_documents = true});
    TokenBatch batch;
    for (int64_t first = 0; first < loader->windows() / 2; first += 2) {
      EXPECT_TRUE(loader->Read(first, batch).ok());
      int64_t targets = 0;
      for (int64_t r = 0; r < 2 * T; ++r) {
        const auto n = static_cast<size_t>(r);
        const bool ends = batch.tokens[n] == kByteEndOfText;
        const int64_t t = r % T;
        const bool begins = t > 0 && batch.tokens[n - 1] == kByteEndOfText;
        const int32_t start = begins ? static_cast<int32_t>(t) : t > 0 ? batch.document_start[n - 1] : 0;
        ASSERT_EQ(batch.document_start[n], start) << "T " << T << " r " << r;
        ASSERT_EQ(batch.positions[n], t - start);
        ASSERT_EQ(batch.targets[n] == -1, ends);
        if (!ends && t + 1 < T) {
          ASSERT_EQ(batch.targets[n], batch.tokens[n + 1]);
        }
        targets += ends ? 0 : 1;
      }
      ASSERT_EQ(batch.target_count, targets);
    }
  }
}

TEST_F(LoaderTest, TheSmallestDatasetHasOneWindow) {
  const Dataset dataset = Build(300);
  const int64_t tokens = dataset.tokens(Split::kValidation);
  const LoaderPlan plan = {.split = Split::kValidation, .B = 3, .T = tokens - 1};
  const auto loader = Open(dataset, plan);
  EXPECT_EQ(loader->windows(), 1);
  TokenBatch batch;
  EXPECT_TRUE(loader->Read(7, batch).ok());  // epochs 7, 8, 9
  EXPECT_EQ(Row(batch.tokens, 0, plan.T), Row(batch.tokens, 2, plan.T));
}

TEST_F(LoaderTest, SequencesLongerThanTheDataAreRefused) {
  const Dataset dataset = Build(300);
  const int64_t tokens = dataset.tokens(Split::kValidation);
  const auto loader = Loader::Create(dataset, {.split = Split::kValidation, .B = 1, .T = tokens});
  const std::string message(loader.status().message());
  EXPECT_THAT(message, HasSubstr("the validation split has " + std::to_string(tokens) + " tokens"));
  EXPECT_THAT(message, HasSubstr("T + 1 = " + std::to_string(tokens + 1)));
}

TEST(Permutation, IsABijectionThatDependsOnKeyAndStream) {
  for (const uint64_t n : {1u, 2u, 3u, 100u, 65535u, 65536u, 65537u, 131072u, 131073u, 1000003u}) {
    std::vector<uint64_t> first;
    for (const auto& [key, stream] : {std::pair<uint64_t, uint64_t>{1, 0}, {2, 0}, {1, 1}}) {
      const Permutation permutation(key, stream, n);
      std::vector<bool> seen(n);
      std::vector<uint64_t> images;
      for (uint64_t i = 0; i < n; ++i) {
        const uint64_t image = permutation(i);
        ASSERT_LT(image, n);
        ASSERT_FALSE(seen[image]) << n;
        seen[image] = true;
        images.push_back(image);
      }
      if (first.empty()) first = images;
      if (n >= 100 && (key != 1 || stream != 0)) {
        EXPECT_NE(images, first);
      }
    }
  }
}

TEST(Permutation, ReachesFarBeyond32Bits) {
  const uint64_t n = 5'000'000'000'000u;
  const Permutation permutation(7, 7, n);
  std::set<uint64_t> images;
  double sum = 0;
  for (uint64_t i = n - 2000; i < n; ++i) {
    images.insert(permutation(i));
    sum += static_cast<double>(permutation(i)) / static_cast<double>(n);
  }
  EXPECT_EQ(images.size(), 2000u);
  EXPECT_LT(*images.rbegin(), n);
  EXPECT_NEAR(sum / 2000, 0.5, 4 * 0.2887 / 44.7);  // 4 standard errors of a uniform mean
}

// The orders of 5 elements over many keys are uniform: chi square with 119 degrees of freedom, 99.99 % at 184.
TEST(Permutation, TinyDomainsAreNotBiased) {
  std::map<std::vector<uint64_t>, int> counts;
  const int keys = 60000;
  for (int key = 0; key < keys; ++key) {
    const Permutation permutation(static_cast<uint64_t>(key), 0, 5);
    std::vector<uint64_t> order;
    for (uint64_t i = 0; i < 5; ++i) order.push_back(permutation(i));
    ++counts[order];
  }
  ASSERT_EQ(counts.size(), 120u);
  double chi_square = 0;
  for (const auto& [order, count] : counts) chi_square += (count - keys / 120.0) * (count - keys / 120.0) * 120 / keys;
  EXPECT_LT(chi_square, 184);
}

TEST(PermutationDeathTest, AnIndexOutsideIsRefused) {
  const Permutation permutation(1, 1, 100000);
  EXPECT_DEATH(permutation(100000), "index 100000 of a permutation of 100000");
}

}  // namespace
}  // namespace ingot
