#include "data_pipeline/mixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace ingot {
namespace {

using ::testing::HasSubstr;

Mixture MustCreate(uint64_t seed, const std::vector<MixtureStage>& stages) {
  auto mixture = Mixture::Create(seed, stages);
  EXPECT_TRUE(mixture.ok()) << mixture.status();
  return *std::move(mixture);
}

TEST(FloorSum, EqualsTheSumTermByTerm) {
  for (const uint64_t m : {1u, 2u, 7u, 1000u}) {
    for (const uint64_t a : {0u, 1u, 6u, 13u, 999u}) {
      for (const uint64_t c : {0u, 5u, 4321u}) {
        uint64_t sum = 0;
        for (uint64_t n = 0; n < 60; sum += (a * n + c) / m, ++n) {
          ASSERT_EQ(static_cast<uint64_t>(FloorSum(n, m, a, c)), sum) << n << " " << m << " " << a << " " << c;
        }
      }
    }
  }
}

TEST(FloorSum, HoldsWhereProductsPass64Bits) {
  const uint64_t n = uint64_t{1} << 52, m = uint64_t{1} << 32, a = m - 1;
  // floor(a j / m) = j - 1 for 1 <= j <= m, then one less for each further m.
  unsigned __int128 expected = 0;
  const unsigned __int128 turns = n / m;  // j = k m + r, 1 <= r <= m: floor = j - 1 - k
  expected = static_cast<unsigned __int128>(n) * (n - 1) / 2 - (n - 1);
  expected -= turns * (turns - 1) / 2 * m - (turns - 1);
  EXPECT_TRUE(FloorSum(n, m, a, 0) == expected);
}

TEST(Mixture, EveryBlockHoldsTheWeightsToOneSequence) {
  const std::vector<double> weights = {0.613, 0.25, 0.1269, 0.0001, 0.01};
  double sum = 0;
  for (const double weight : weights) sum += weight;
  const Mixture mixture = MustCreate(3, {{0, weights}});
  std::vector<int64_t> next(weights.size());
  for (int64_t block = 0; block < 300; ++block) {
    std::vector<int64_t> counts(weights.size());
    std::set<std::pair<size_t, int64_t>> items;
    for (size_t i = 0; i < weights.size(); ++i) ASSERT_EQ(mixture.CountBefore(i, block * kMixtureBlock), next[i]);
    for (int64_t s = 0; s < kMixtureBlock; ++s) {
      const Mixture::Place place = mixture.At(block * kMixtureBlock + s);
      ++counts[place.source];
      ASSERT_TRUE(items.insert({place.source, place.item}).second);
      ASSERT_GE(place.item, next[place.source]);
    }
    for (size_t i = 0; i < weights.size(); ++i) {
      EXPECT_LT(std::abs(static_cast<double>(counts[i]) - kMixtureBlock * weights[i] / sum), 1.0) << block << " " << i;
      next[i] += counts[i];
      if (counts[i] == 0) continue;
      EXPECT_TRUE(items.contains({i, next[i] - 1})) << "items are drawn in order, none left out";
    }
  }
}

TEST(Mixture, SharesStayExactFarOut) {
  const Mixture mixture = MustCreate(1, {{0, {1, 2, 4}}});
  const int64_t far = (int64_t{1} << 40) * kMixtureBlock;
  int64_t total = 0;
  for (size_t i = 0; i < 3; ++i) {
    const int64_t count = mixture.CountBefore(i, far);
    // Weights are rounded to 2^-32 of the whole.
    EXPECT_NEAR(static_cast<double>(count), static_cast<double>(far) * (1 << i) / 7,
                static_cast<double>(far) * 0x1p-32);
    EXPECT_GE(mixture.At(far + 5).item, 0);
    total += count;
  }
  EXPECT_EQ(total, far);
}

TEST(Mixture, StagesGoOnWhereTheLastOnesEnded) {
  const int64_t border = 7 * kMixtureBlock;
  const Mixture mixture = MustCreate(5, {{0, {1, 1}}, {border - 300, {0, 1}}, {20 * kMixtureBlock, {3, 1}}});
  std::vector<int64_t> drawn(2);
  std::vector<std::set<int64_t>> items(2);
  for (int64_t g = 0; g < 30 * kMixtureBlock; ++g) {
    const Mixture::Place place = mixture.At(g);
    ASSERT_TRUE(items[place.source].insert(place.item).second);
    if (g >= border && g < 20 * kMixtureBlock) {
      ASSERT_EQ(place.source, 1u) << g;
    }
  }
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(*items[i].rbegin() + 1, static_cast<int64_t>(items[i].size()));
  EXPECT_EQ(items[0].size(), 7u * 512 + 10 * 768);
}

TEST(Mixture, SeedsChangeTheOrderOnly) {
  const Mixture a = MustCreate(1, {{0, {1, 1}}}), b = MustCreate(2, {{0, {1, 1}}});
  int different = 0;
  for (int64_t g = 0; g < kMixtureBlock; ++g) different += a.At(g).source != b.At(g).source;
  EXPECT_GT(different, 300);
  EXPECT_EQ(a.CountBefore(0, 99 * kMixtureBlock), b.CountBefore(0, 99 * kMixtureBlock));
}

TEST(Mixture, BadStagesAreNamed) {
  const auto message = [](const std::vector<MixtureStage>& stages) {
    return std::string(Mixture::Create(0, stages).status().message());
  };
  EXPECT_THAT(message({{0, {0, 0}}}), HasSubstr("stage 0 of the mixture: expected a weight above 0"));
  EXPECT_THAT(message({{0, {1, -1}}}), HasSubstr("expected weights of at least 0, found -1"));
  EXPECT_THAT(message({{0, {NAN}}}), HasSubstr("expected weights of at least 0"));
  EXPECT_THAT(message({{0, {1, 1}}, {5000, {1}}}), HasSubstr("stage 1 of the mixture: expected 2 weights"));
  EXPECT_THAT(message({{0, {1, 1}}, {100, {1, 2}}}), HasSubstr("at least 1024 sequences after"));
}

}  // namespace
}  // namespace ingot
