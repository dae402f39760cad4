#include "kernels/quantize_fp8.h"

#include <cmath>
#include <limits>

#include "tests/kernels/fp8_data.h"

namespace ingot {
namespace {

constexpr int64_t kBlock = Fp8Matrix::kBlock;

// The nearest of all values of Fp8, ties to the even code, found by trying them all.
template <typename Fp8>
double NearestFp8(double x) {
  double best = 0, distance = std::numeric_limits<double>::infinity();
  for (int code = 0; code < 0x7F; ++code) {
    const double value = static_cast<double>(ToFloat(Fp8{static_cast<uint8_t>(code)}));
    if (!std::isfinite(value)) break;
    const double d = std::fabs(value - std::fabs(x));
    if (d < distance || (d == distance && code % 2 == 0)) best = value, distance = d;
  }
  return std::copysign(best, x);
}

// The scale as the header states it, by trying powers of two.
template <typename Fp8>
double SmallestScale(double largest) {
  if (largest == 0) return 1;
  const double limit = static_cast<double>(ToFloat(Fp8{static_cast<uint8_t>(Fp8Format<Fp8>::kLargest)}));
  double scale = 0x1p-126;
  while (largest / scale > limit) scale *= 2;
  return scale;
}

// A matrix whose blocks differ by powers of two, some beyond fp8's own range.
Floats Blocky(int64_t R, int64_t C) {
  Floats x = Normal(R * C, 1);
  for (int64_t i = 0; i < R * C; ++i) {
    x[i] *= std::exp2(static_cast<float>(12 * (i / C / kBlock) - 9 * (i % C / kBlock)));
  }
  return x;
}

template <typename Fp8>
void ExpectBlocks(const Floats& x, const Fp8Data<Fp8>& y) {
  const int64_t R = y.R, C = y.C, C_blocks = Fp8Matrix::Blocks(C);
  std::vector<double> largest(y.scales.size());
  for (int64_t i = 0; i < R * C; ++i) {
    double& of_block = largest[i / C / kBlock * C_blocks + i % C / kBlock];
    of_block = std::max(of_block, std::fabs(static_cast<double>(x[i])));
  }
  for (size_t b = 0; b < largest.size(); ++b) {
    ASSERT_EQ(static_cast<double>(y.scales[b]), SmallestScale<Fp8>(largest[b])) << "block " << b;
  }
  for (int64_t i = 0; i < R * C; ++i) {
    const double scale = static_cast<double>(y.scales[i / C / kBlock * C_blocks + i % C / kBlock]);
    ASSERT_EQ(static_cast<double>(ToFloat(y.rows[i])), NearestFp8<Fp8>(static_cast<double>(x[i]) / scale)) << i;
    ASSERT_EQ(y.columns[i % C * R + i / C].bits, y.rows[i].bits) << i;
  }
}

template <typename Fp8>
class QuantizeFp8Test : public testing::Test {};
using Formats = testing::Types<E4m3, E5m2>;
TYPED_TEST_SUITE(QuantizeFp8Test, Formats);

TYPED_TEST(QuantizeFp8Test, NearestValueInEveryBlock) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const auto& [R, C] : {Fp8Shape{1, 1}, {3, 5}, {128, 128}, {16, 144}, {130, 136}, {257, 131}}) {
      Floats x = Blocky(R, C);
      Fp8Data<TypeParam> y(R, C);
      RunOp(QuantizeFp8{.x = ScalarView(x, {R, C}), .y = y.View()});
      ExpectBlocks(x, y);
    }
  }
}

// Every bit is the CPU's. Blocks with a NaN, an infinity, nothing but zeros, denormals, the largest numbers.
TYPED_TEST(QuantizeFp8Test, ExtremesOfABlock) {
  const int64_t R = 140, C = 5 * kBlock + 8;
  Floats x = Normal(R * C, 2);
  for (int64_t r = 0; r < R; ++r) {
    for (int64_t c = kBlock; c < C; ++c) {
      float& value = x[r * C + c];
      if (c / kBlock == 2) value = r == 0 && c % 2 == 0 ? -0.0f : 0.0f;
      if (c / kBlock == 3) value *= 0x1p-135f;
      if (c / kBlock == 4) value = std::copysign(0x1.8p127f, value);
    }
  }
  x[7 * C + 100] = std::nanf("");
  x[139 * C + 130] = -std::numeric_limits<float>::infinity();
  RoundScalars({&x});
  Fp8Data<TypeParam> want(R, C);
  RunOp(QuantizeFp8{.x = View(x, {R, C}), .y = want.View()});
  EXPECT_TRUE(std::isnan(want.scales[0]) && std::isnan(want.scales[7]));
  EXPECT_EQ(want.rows[5].bits, 0x7F);
  EXPECT_EQ(want.scales[2], 1.0f);
  EXPECT_EQ(want.scales[3], 0x1p-126f);
  EXPECT_EQ(want.rows[2 * kBlock].bits, 0x80);
  for (const Backend& backend : CudaBackends()) {
    const OnBackend on(backend);
    Floats rounded = x;
    RoundScalars({&rounded});
    Fp8Data<TypeParam> y(R, C), reference(R, C);
    RunOp(QuantizeFp8{.x = ScalarView(rounded, {R, C}), .y = y.View()});
    {
      const OnBackend on_cpu(kCpuF32);
      RunOp(QuantizeFp8{.x = View(rounded, {R, C}), .y = reference.View()});
    }
    EXPECT_EQ(y.Bits(), reference.Bits());
  }
}

TYPED_TEST(QuantizeFp8Test, RowsOrColumnsAlone) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    const int64_t R = 131, C = 160;
    Floats x = Normal(R * C, 3);
    Fp8Data<TypeParam> both(R, C), rows(R, C), columns(R, C);
    Fp8Matrix only_rows = rows.View(), only_columns = columns.View();
    only_rows.columns = only_columns.rows = {};
    RunOp(QuantizeFp8{.x = ScalarView(x, {R, C}), .y = both.View()});
    RunOp(QuantizeFp8{.x = ScalarView(x, {R, C}), .y = only_rows});
    RunOp(QuantizeFp8{.x = ScalarView(x, {R, C}), .y = only_columns});
    rows.columns = both.columns;
    columns.rows = both.rows;
    EXPECT_EQ(rows.Bits(), both.Bits());
    EXPECT_EQ(columns.Bits(), both.Bits());
  }
}

TEST(QuantizeFp8OrderTest, BitsDoNotDependOnThreads) {
  ExpectSameBitsForThreads([] {
    Floats x = Blocky(200, 300);
    Fp8Data<E4m3> y(200, 300);
    RunOp(QuantizeFp8{.x = View(x, {200, 300}), .y = y.View()});
    return y.Bits();
  });
}

TEST(QuantizeFp8OrderTest, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    Floats x = Blocky(140, 264);
    Fp8Data<E5m2> y(140, 264);
    RunOp(QuantizeFp8{.x = ScalarView(x, {140, 264}), .y = y.View()});
    return y.Bits();
  });
}

TEST(QuantizeFp8DeathTest, RefusesWrongArguments) {
  Floats x = Normal(6, 1);
  Fp8Data<E4m3> y(2, 3), turned(3, 2);
  QuantizeFp8 op = {.x = View(x, {2, 3}), .y = turned.View()};
  EXPECT_DEATH(RunOp(op), "the rows of an fp8 matrix must be \\(2, 3\\)");
  op.y = {};
  EXPECT_DEATH(RunOp(op), "y is absent");
  op.y = y.View();
  op.y.scales = {};
  EXPECT_DEATH(RunOp(op), "has scales, and rows or columns");
  op.y = y.View();
  op.y.columns.dtype = DType::kE5m2;
  EXPECT_DEATH(RunOp(op), "rows of an fp8 matrix are e4m3, its columns e5m2");
  op.y = y.View();
  op.y.rows.dtype = op.y.columns.dtype = DType::kU8;
  EXPECT_DEATH(RunOp(op), "is u8, not e4m3 or e5m2");
  op.y = y.View();
  op.y.scales.dtype = DType::kI32;
  EXPECT_DEATH(RunOp(op), "are i32, not f32");
  op.y = y.View();
  op.y.rows.ptr = nullptr;
  EXPECT_DEATH(RunOp(op), "no memory");
}

}  // namespace
}  // namespace ingot
