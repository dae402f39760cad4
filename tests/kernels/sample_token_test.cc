#include "kernels/sample_token.h"

#include <cmath>
#include <limits>
#include <map>
#include <numeric>

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

// The fields of the op that a test sets.
struct Options {
  double temperature = 1;
  int64_t top_k = 0;
  double top_p = 1;
  int64_t vocabulary = 0;
};

int32_t Drawn(Floats logits, double uniform, const Options& options) {
  std::vector<int32_t> token = {-1};
  RunOp(SampleToken{.logits = View(logits, {static_cast<int64_t>(logits.size())}),
                    .token = View(token, {1}),
                    .uniform = uniform,
                    .temperature = options.temperature,
                    .top_k = options.top_k,
                    .top_p = options.top_p,
                    .vocabulary = options.vocabulary});
  return token[0];
}

// By id: the share of uniform numbers that draw it, from the formula, in double. Logits are numbers.
std::map<int32_t, double> Shares(const Floats& logits, const Options& options) {
  const auto N = static_cast<int64_t>(logits.size());
  std::vector<int32_t> ids(options.vocabulary > 0 ? std::min(options.vocabulary, N) : N);
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return logits[a] > logits[b]; });
  const auto weight = [&](int32_t id) {
    return std::exp((double{logits[id]} - double{logits[ids[0]]}) / options.temperature);
  };
  if (options.temperature == 0) ids.resize(1);
  if (options.top_k > 0 && options.top_k < static_cast<int64_t>(ids.size())) ids.resize(options.top_k);
  double total = 0, sum = 0;
  for (const int32_t id : ids) total += ids.size() == 1 ? 1 : weight(id);
  std::map<int32_t, double> shares;
  for (const int32_t id : ids) {
    if (!shares.empty() && sum >= options.top_p * total) break;
    shares[id] = ids.size() == 1 ? 1 : weight(id);
    sum += shares[id];
  }
  for (auto& share : shares) share.second /= sum;
  return shares;
}

// The middle of each id's uniform numbers draws it. Narrow ones may be missed by the rounding of an exponential.
void ExpectDraws(const Floats& logits, const Options& options) {
  const std::map<int32_t, double> shares = Shares(logits, options);
  double before = 0;
  int checked = 0;
  for (const auto& [id, share] : shares) {
    const bool wide = share > 0.2 / static_cast<double>(shares.size()) && checked < 3;
    if (wide) {
      EXPECT_EQ(Drawn(logits, before + share / 2, options), id) << "of " << shares.size();
      ++checked;
    }
    before += share;
  }
  EXPECT_GT(checked, 0);
}

constexpr Options kOptions[] = {{},
                                {.temperature = 0},
                                {.temperature = 0.5},
                                {.top_k = 3},
                                {.top_p = 0.7},
                                {.temperature = 2, .top_k = 20, .top_p = 0.9},
                                {.top_k = 5, .vocabulary = 400}};

TEST(SampleTokenTest, FollowsTheFormula) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t V : {1, 31, 512, 1025}) {
      const Floats logits = Normal(V, 1, 2);
      for (const Options& options : kOptions) {
        if (options.top_p < 1 && V > 1) continue;  // where a share ends depends on its rounding: below
        ExpectDraws(logits, options);
      }
    }
  }
}

// Weights 8, 4, 2, 1 of ids 2, 0, 3, 1: shares end far from where they are asked for.
TEST(SampleTokenTest, AShareOfTheLikeliest) {
  const float two = std::log(2.0f);
  const Floats logits = {2 * two, 0, 3 * two, two};
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const double top_p : {1e-9, 0.6, 0.9}) ExpectDraws(logits, {.top_p = top_p});
    ExpectDraws(logits, {.top_k = 3, .top_p = 0.8});
    EXPECT_EQ(Drawn(logits, 0.999, {.top_p = 0}), 2);
  }
}

// Equal logits count by id, in each limit and over the borders of the threads.
TEST(SampleTokenTest, EqualLogitsCountById) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Floats logits(3000, 1.0f);
    for (const int64_t n : {5, 1500, 2999}) logits[n] = 2;
    const double large = std::exp(1.0), total = 3 * large + 1997;
    EXPECT_EQ(Drawn(logits, 0, {.top_k = 2000}), 0);
    // 1,997 of the smaller ones, of which the last has id 1,998: ids 5 and 1,500 are not of them.
    EXPECT_EQ(Drawn(logits, (2 * large + 1996.5) / total, {.top_k = 2000}), 1998);
    EXPECT_EQ(Drawn(logits, 1 - 0.5 * large / total, {.top_k = 2000}), 2999);
    EXPECT_EQ(Drawn(logits, 0.5, {.temperature = 0}), 5);
    EXPECT_EQ(Drawn(logits, 0.999, {.top_k = 2}), 1500);
  }
}

TEST(SampleTokenTest, WhatIsNotANumberIsNeverDrawn) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const double uniform : {0.0, 0.9999999}) {
      EXPECT_EQ(Drawn({kNan, 1, -kNan}, uniform, {.top_p = 0.5}), 1);
      EXPECT_EQ(Drawn({kNan, kNan}, uniform, {}), 0);
      EXPECT_EQ(Drawn({-kInfinity, -1e30f, -kInfinity}, uniform, {.top_k = 2}), 1);
      EXPECT_EQ(Drawn({3, kInfinity, 1e38f}, uniform, {}), 1);
      EXPECT_EQ(Drawn({3, 2, 9}, uniform, {.temperature = 1e-300, .vocabulary = 2}), 0);
    }
    EXPECT_EQ(Drawn({-kInfinity, -kInfinity}, 0.6, {}), 1);
  }
}

TEST(SampleTokenTest, TheCpuAndTheDeviceDrawAlike) {
  if (CudaBackends().empty() || !cuda::IsEmulated()) GTEST_SKIP() << "a GPU's exponential has other last bits";
  const Floats logits = Normal(700, 3, 3);
  for (int i = 0; i < 14; ++i) {
    const Options options = kOptions[i % std::size(kOptions)];
    const double uniform = Philox{9}.Uniform(1, i);
    const int32_t wanted = Drawn(logits, uniform, options);
    const OnBackend on(kCudaF32);
    EXPECT_EQ(Drawn(logits, uniform, options), wanted) << i;
  }
}

TEST(SampleTokenTest, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    const Floats logits = Normal(600, 4);
    return Floats{static_cast<float>(Drawn(logits, 0.4, {.top_k = 50, .top_p = 0.8}))};
  });
}

}  // namespace
}  // namespace ingot
