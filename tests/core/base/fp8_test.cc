// The tables of roundings are held against in tests/kernels/emulator/instruction_test.cc.
#include "core/base/fp8.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/base/philox.h"
#include "gtest/gtest.h"

namespace ingot {
namespace {

template <typename Fp8>
class Fp8Test : public testing::Test {};
using Formats = testing::Types<E4m3, E5m2>;
TYPED_TEST_SUITE(Fp8Test, Formats);

uint32_t Bits(float x) { return std::bit_cast<uint32_t>(x); }

template <typename Fp8>
constexpr float Largest() {
  return ToFloat(Fp8{static_cast<uint8_t>(Fp8Format<Fp8>::kLargest)});
}
static_assert(Largest<E4m3>() == 448 && Largest<E5m2>() == 57344);

TYPED_TEST(Fp8Test, EveryFiniteCodeComesBack) {
  for (uint32_t code = 0; code < 256; ++code) {
    const TypeParam value{static_cast<uint8_t>(code)};
    if (!std::isfinite(ToFloat(value))) continue;
    EXPECT_EQ(ToFp8<TypeParam>(ToFloat(value)).bits, code);
  }
}

// By a search over the codes, where a tie goes to the even one.
TYPED_TEST(Fp8Test, RoundsToTheNearest) {
  for (int i = 0; i < 2000; ++i) {
    const int exponent = static_cast<int>(Philox{3}.Below(40, 0, i)) - 24;
    const float x = std::ldexp(1 + static_cast<float>(Philox{3}.Below(64, 1, i)) / 64, exponent);
    uint32_t best = 0;
    for (uint32_t code = 0; code <= Fp8Format<TypeParam>::kLargest; ++code) {
      const auto distance = [&](uint32_t c) { return std::fabs(ToFloat(TypeParam{static_cast<uint8_t>(c)}) - x); };
      const bool nearer = distance(code) < distance(best) || (distance(code) == distance(best) && code % 2 == 0);
      if (nearer) best = code;
    }
    EXPECT_EQ(ToFp8<TypeParam>(x).bits, best) << x;
    EXPECT_EQ(ToFp8<TypeParam>(-x).bits, best | 0x80u) << x;
  }
}

// The largest value over the scale fits, over half of it does not.
template <typename Fp8>
void ExpectSmallestScale(float largest) {
  const float scale = Fp8Scale<Fp8>(Bits(largest));
  int exponent = 0;
  EXPECT_EQ(std::frexp(scale, &exponent), 0.5f) << "no power of two for " << largest;
  EXPECT_LE(largest / scale, Largest<Fp8>()) << largest;
  if (scale == std::numeric_limits<float>::min()) return;
  EXPECT_GT(largest / (scale / 2), Largest<Fp8>()) << largest;
}

TYPED_TEST(Fp8Test, ScaleIsTheSmallestThatFits) {
  for (int i = 0; i < 4000; ++i) {
    // Every positive finite float is as likely as any other.
    const auto bits = static_cast<uint32_t>(1 + Philox{4}.Below(0x7F7FFFFF, 0, i));
    ExpectSmallestScale<TypeParam>(std::bit_cast<float>(bits));
  }
  for (uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (const uint32_t mantissa : {0u, 1u, 0x5FFFFFu, 0x600000u, 0x600001u, 0x7FFFFFu}) {
      if ((exponent | mantissa) == 0) continue;
      ExpectSmallestScale<TypeParam>(std::bit_cast<float>(exponent << 23 | mantissa));
    }
  }
}

TYPED_TEST(Fp8Test, ScaleOfZerosIsOneAndOfWhatIsNotFiniteNan) {
  EXPECT_EQ(Fp8Scale<TypeParam>(0), 1);
  EXPECT_TRUE(std::isnan(Fp8Scale<TypeParam>(0x7F800000u)));
  EXPECT_TRUE(std::isnan(Fp8Scale<TypeParam>(0x7FC00000u)));
}

}  // namespace
}  // namespace ingot
