#include "core/base/philox.h"

#include <array>
#include <cmath>

#include "gtest/gtest.h"

namespace ingot {
namespace {

using Words = std::array<uint32_t, 4>;

// The known-answer vectors of the authors' library Random123 for philox4x32-10.
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(Philox{0}.Bits(0, 0), (Words{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}));
  EXPECT_EQ(Philox{~uint64_t{0}}.Bits(~uint64_t{0}, ~uint64_t{0}),
            (Words{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}));
  // Counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0: the digits of pi.
  EXPECT_EQ(Philox{0x299f31d0a4093822u}.Bits(0x0370734413198a2eu, 0x85a308d3243f6a88u),
            (Words{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}));
}

TEST(PhiloxTest, UniformStaysInItsRangeAndSpreads) {
  double sum = 0, squares = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = Philox{1}.Uniform(2, i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.005);  // five standard deviations
  EXPECT_NEAR(squares / kDraws, 1.0 / 3, 0.005);
}

TEST(PhiloxTest, BelowReachesEveryValueAboutEvenly) {
  std::array<int, 7> counts{};
  for (int i = 0; i < 70000; ++i) ++counts.at(Philox{1}.Below(7, 3, i));
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
  EXPECT_EQ(Philox{1}.Below(1, 0, 0), 0u);
}

TEST(PhiloxTest, NormalHasItsMoments) {
  double moments[5] = {};
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = Philox{1}.Normal(4, i);
    ASSERT_TRUE(std::isfinite(x));
    for (int k = 1; k <= 4; ++k) moments[k] += std::pow(x, k) / kDraws;
  }
  EXPECT_NEAR(moments[1], 0, 0.012);
  EXPECT_NEAR(moments[2], 1, 0.016);
  EXPECT_NEAR(moments[3], 0, 0.045);
  EXPECT_NEAR(moments[4], 3, 0.12);
}

TEST(PhiloxTest, StreamsAndKeysDiffer) {
  EXPECT_NE(Philox{1}.Word(0, 1), Philox{1}.Word(1, 0));
  EXPECT_NE(Philox{1}.Word(0, 0), Philox{2}.Word(0, 0));
  EXPECT_NE(Philox{uint64_t{1} << 40}.Word(0, 0), Philox{0}.Word(0, 0));
}

}  // namespace
}  // namespace ingot
