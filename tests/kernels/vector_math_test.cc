#include "kernels/cpu/vector_math.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gtest/gtest.h"

namespace ingot {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Every 9973rd float of both signs: about 430,000 arguments over the whole range.
std::vector<float> Arguments() {
  std::vector<float> x = {0.0f, -0.0f, kInfinity, -kInfinity, 88.72283f, 88.72284f, -103.97f, -103.98f, -87.336f};
  for (uint64_t bits = 0; bits < 0x7F800000u; bits += 9973) {
    x.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
    x.push_back(-x.back());
  }
  for (int i = -20000; i <= 20000; ++i) x.push_back(static_cast<float>(i) * 0.0055f);
  return x;
}

// Distance from the true value in units of the last place of a float near it (denormals: of the smallest one).
double UlpError(float got, double want) {
  if (static_cast<double>(static_cast<float>(want)) == static_cast<double>(got)) return 0;
  const float nearest = std::min(std::fabs(static_cast<float>(want)), std::numeric_limits<float>::max());
  const double ulp = static_cast<double>(nearest) - static_cast<double>(std::nextafter(nearest, 0.0f));
  return std::fabs(static_cast<double>(got) - want) / std::max(ulp, 0x1p-149);
}

template <typename Function, typename Reference>
double WorstUlp(Function function, Reference reference, float low) {
  double worst = 0;
  for (const float x : Arguments()) {
    if (x < low) continue;
    worst = std::max(worst, UlpError(function(x), reference(static_cast<double>(x))));
  }
  return worst;
}

TEST(VectorMath, ErrorOverTheWholeRange) {
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  EXPECT_LE(WorstUlp(
                Exp, [](double x) { return std::exp(x); }, -kInfinity),
            1.0);
  EXPECT_LE(WorstUlp(
                Tanh, [](double x) { return std::tanh(x); }, -kInfinity),
            2.0);
  EXPECT_LE(WorstUlp(Sigmoid, sigmoid, -87.0f), 3.0);
}

TEST(VectorMath, Edges) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(Exp(0.0f), 1.0f);
  EXPECT_EQ(Exp(-0.0f), 1.0f);
  EXPECT_EQ(Exp(kInfinity), kInfinity);
  EXPECT_EQ(Exp(-kInfinity), 0.0f);
  EXPECT_EQ(Exp(std::numeric_limits<float>::lowest()), 0.0f);
  EXPECT_TRUE(std::isnan(Exp(nan)));
  EXPECT_TRUE(std::isnan(Exp(-nan)));
  EXPECT_TRUE(std::isnan(Tanh(nan)));
  EXPECT_TRUE(std::isnan(Sigmoid(nan)));
  EXPECT_EQ(Tanh(kInfinity), 1.0f);
  EXPECT_EQ(Tanh(-kInfinity), -1.0f);
  EXPECT_EQ(Sigmoid(-kInfinity), 0.0f);
  EXPECT_EQ(Sigmoid(kInfinity), 1.0f);
}

// A vectorised loop and single calls give the same bits.
TEST(VectorMath, LanesEqualScalarCalls) {
  const std::vector<float> x = Arguments();
  std::vector<float> y(x.size()), t(x.size());
#pragma omp simd
  for (size_t i = 0; i < x.size(); ++i) y[i] = Exp(x[i]);
#pragma omp simd
  for (size_t i = 0; i < x.size(); ++i) t[i] = Tanh(x[i]);
  for (size_t i = 0; i < x.size(); ++i) {
    volatile float single = x[i];
    ASSERT_EQ(std::bit_cast<uint32_t>(Exp(single)), std::bit_cast<uint32_t>(y[i])) << x[i];
    ASSERT_EQ(std::bit_cast<uint32_t>(Tanh(single)), std::bit_cast<uint32_t>(t[i])) << x[i];
  }
}

}  // namespace
}  // namespace ingot
