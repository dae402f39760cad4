#include "core/base/bf16.h"

#include <cmath>
#include <limits>
#include <vector>

#include "core/base/philox.h"
#include "gtest/gtest.h"

namespace ingot {
namespace {

// What `bits` means by IEEE 754, with `mantissa_bits` of mantissa and a bias of 2^(exponent_bits - 1) - 1.
double Decoded(uint16_t bits, int mantissa_bits, int exponent_bits) {
  const int exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1), bias = (1 << (exponent_bits - 1)) - 1;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) return sign * (mantissa == 0 ? INFINITY : std::nan(""));
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  return sign * std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
}

template <typename Half>
struct Format;
template <>
struct Format<Bf16> {
  static constexpr int kMantissa = 7, kExponent = 8;
  static Bf16 Round(float x) { return ToBf16(x); }
};
template <>
struct Format<F16> {
  static constexpr int kMantissa = 10, kExponent = 5;
  static F16 Round(float x) { return ToF16(x); }
};

template <typename Half>
class HalfTest : public testing::Test {
 protected:
  static double Value(uint16_t bits) { return Decoded(bits, Format<Half>::kMantissa, Format<Half>::kExponent); }
  static uint16_t Round(float x) { return Format<Half>::Round(x).bits; }
  static constexpr uint16_t kInfinity =
      static_cast<uint16_t>(((1 << Format<Half>::kExponent) - 1) << Format<Half>::kMantissa);
};
using Halves = testing::Types<Bf16, F16>;
TYPED_TEST_SUITE(HalfTest, Halves);

TYPED_TEST(HalfTest, AllValuesGoToFloatAndBack) {
  for (int bits = 0; bits < 65536; ++bits) {
    const float x = ToFloat(TypeParam{static_cast<uint16_t>(bits)});
    const double expected = this->Value(static_cast<uint16_t>(bits));
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(x));
      EXPECT_TRUE(std::isnan(this->Value(this->Round(x))));
    } else {
      EXPECT_EQ(static_cast<double>(x), expected);
      EXPECT_EQ(std::signbit(x), std::signbit(expected));
      EXPECT_EQ(this->Round(x), bits);
    }
  }
}

// The middle between neighbours goes to the even one; the floats on both sides of it to the nearer one. Beyond the
// largest finite value stands, for the rounding, the next power of two, which is infinity.
TYPED_TEST(HalfTest, RoundsToNearestAndTiesToEven) {
  for (uint16_t bits = 0; bits < this->kInfinity; ++bits) {
    const double low = this->Value(bits), step = low - (bits == 0 ? 0 : this->Value(bits - 1));
    const double high = bits + 1 == this->kInfinity ? low + step : this->Value(bits + 1);
    const float middle = static_cast<float>((low + high) / 2);
    if (static_cast<double>(middle) != (low + high) / 2) continue;  // below the smallest float
    const uint16_t even = bits % 2 == 0 ? bits : bits + 1;
    EXPECT_EQ(this->Round(middle), even);
    EXPECT_EQ(this->Round(-middle), even | 0x8000);
    EXPECT_EQ(this->Round(std::nextafter(middle, 0.0f)), bits);
    EXPECT_EQ(this->Round(std::nextafter(middle, INFINITY)), bits + 1);
  }
}

TYPED_TEST(HalfTest, RandomFloatsGoToANearestValue) {
  for (uint64_t i = 0; i < 100000; ++i) {
    const float x = std::ldexp(static_cast<float>(Philox{1}.Normal(1, i)), static_cast<int>(i % 30) - 20);
    const uint16_t bits = this->Round(x), size = bits & 0x7FFF;
    if (size == this->kInfinity) continue;
    const double error = std::fabs(this->Value(bits) - static_cast<double>(x));
    for (const int neighbour : {size - 1, size + 1}) {
      if (neighbour < 0 || neighbour >= this->kInfinity) continue;
      const double other = this->Value(static_cast<uint16_t>(neighbour | (bits & 0x8000)));
      EXPECT_LE(error, std::fabs(other - static_cast<double>(x)));
    }
  }
}

TYPED_TEST(HalfTest, InfinityAndOverflow) {
  EXPECT_EQ(this->Round(INFINITY), this->kInfinity);
  EXPECT_EQ(this->Round(-INFINITY), this->kInfinity | 0x8000);
  EXPECT_EQ(this->Round(std::numeric_limits<float>::max()), this->kInfinity);
}

// Over all that the random bits can be, the results are the two neighbours and their mean is the value itself.
TEST(StochasticRounding, IsUnbiased) {
  for (uint64_t i = 0; i < 20; ++i) {
    const float x = std::ldexp(static_cast<float>(Philox{2}.Normal(1, i)), static_cast<int>(i) * 12 - 130);
    const float low = std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0xFFFF0000u);
    const float high = std::bit_cast<float>((std::bit_cast<uint32_t>(x) & 0xFFFF0000u) + 0x10000u);
    double sum = 0;
    for (uint32_t random16 = 0; random16 < 65536; ++random16) {
      const float rounded = ToFloat(ToBf16Stochastic(x, random16));
      ASSERT_TRUE(rounded == low || rounded == high) << x;
      sum += std::ldexp(static_cast<double>(rounded), 100);
    }
    EXPECT_EQ(sum / 65536, std::ldexp(static_cast<double>(x), 100));
  }
}

TEST(StochasticRounding, KeepsWhatBf16Holds) {
  for (const float x : {0.0f, -0.0f, 1.0f, -3.5f, 0x1p-133f, INFINITY, -INFINITY}) {
    EXPECT_EQ(ToBf16Stochastic(x, 65535).bits, ToBf16(x).bits) << x;
  }
  EXPECT_EQ(ToBf16Stochastic(NAN, 0).bits, 0x7FFF);
  EXPECT_EQ(ToBf16Stochastic(-std::numeric_limits<float>::max(), 65535).bits, 0xFF7F);
}

}  // namespace
}  // namespace ingot
