// Products of fp8 against sums on the CPU: those that a device takes by itself, and of the emulator also the kernel for sm_90a.
#include "kernels/cuda/gemm_fp8.h"

#include <cmath>

#include "kernels/cuda/runtime.h"
#include "tests/kernels/device_sm90.h"
#include "tests/kernels/gemm_fp8_data.h"

namespace ingot {
namespace {

// An element of the product, and what a result may differ from it by.
struct Expected {
  double value = 0, sum_of_magnitudes = 0;
};
Expected ExpectedOf(const Fp8GemmData& data, int64_t m, int64_t n) {
  Expected expected;
  for (int64_t k = 0; k < data.shape.K; ++k) {
    const double scale = static_cast<double>(data.a.Scale(m, k) * data.b.Scale(n, k));
    const double term = scale * static_cast<double>(data.a.Value(m, k) * data.b.Value(n, k));
    expected.value += term;
    expected.sum_of_magnitudes += std::fabs(term);
  }
  const auto add = [&](float term) {
    expected.value += static_cast<double>(term);
    expected.sum_of_magnitudes += std::fabs(static_cast<double>(term));
  };
  if (data.shape.beta != 0) add(data.c.values[m * data.shape.N + n]);
  if (data.shape.bias) add(data.bias.values[n]);
  return expected;
}

// Sums of K terms in f32, whatever their order, and one rounding to the output's type. A tensor core cuts the terms of an
// instruction at about 14 bits below the largest sum, 33 of them, four times for a block, to either side.
double Tolerance(const Fp8GemmShape& shape, const Expected& expected) {
  const double adder = cuda::IsEmulated() ? static_cast<double>(shape.K + 2) * kUnit : 0x1p-13 * std::sqrt(4.0 * 33);
  const double rounding = shape.out == DType::kBf16 ? 0x1p-8 : kUnit;
  return adder * expected.sum_of_magnitudes + rounding * std::fabs(expected.value);
}

class GemmFp8 : public testing::TestWithParam<Fp8GemmShape> {};

void ExpectProduct(const Fp8GemmData& data, const Floats& found) {
  for (int64_t m = 0; m < data.shape.M; ++m) {
    for (int64_t n = 0; n < data.shape.N; ++n) {
      const Expected expected = ExpectedOf(data, m, n);
      ASSERT_NEAR(found[m * data.shape.N + n], expected.value, Tolerance(data.shape, expected)) << m << ", " << n;
    }
  }
}

TEST_P(GemmFp8, IsTheProduct) {
  if (CudaBackends().empty()) GTEST_SKIP() << "no device";
  if (const std::string why = cuda::WhyNoFp8(); !why.empty()) GTEST_SKIP() << why;
  const Fp8GemmData data(GetParam());
  ExpectProduct(data, data.Run());
}

// The kernel for sm_90a. On the emulator to the last bit: 128 products in the order of k, then scaled and added.
TEST_P(GemmFp8, OfSm90IsTheProduct) {
  if (!CanRunSm90()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const OnSm90 device;
  const Fp8GemmData data(GetParam());
  const Floats found = data.Run();
  ExpectProduct(data, found);
  if (!cuda::IsEmulated()) return;
  for (int64_t m = 0; m < data.shape.M; ++m) {
    for (int64_t n = 0; n < data.shape.N; ++n) ASSERT_EQ(found[m * data.shape.N + n], data.InOrder(m, n)) << m << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmFp8, testing::ValuesIn(Fp8GemmShapes()),
                         [](const auto& shape) { return shape.param.Name(); });

// A block that is not finite spoils the elements that it reaches, and no others.
TEST(GemmFp8Support, ScaleThatIsNoNumberReachesItsBlock) {
  if (!CanRunSm90()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const OnSm90 device;
  Fp8GemmData data({130, 140, 144, DType::kE4m3, DType::kE4m3, DType::kF32, 0, false});
  std::fill(data.b.scales.begin(), data.b.scales.end(), 1.0f);
  data.b.scales[data.b.turned ? 1 : data.b.blocks_k] = std::nanf("");  // of rows from 128 on, or of terms from 128 on
  data.b.scale_memory.CopyFrom(reinterpret_cast<const char*>(data.b.scales.data()));
  const Floats found = data.Run();
  for (int64_t i = 0; i < 130 * 140; ++i) ASSERT_EQ(std::isnan(found[i]), i % 140 >= 128) << i;
}

TEST(GemmFp8Support, NothingToCompute) {
  if (!CanRunSm90()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const OnSm90 device;
  EXPECT_TRUE(Fp8GemmData({0, 8, 16, DType::kE4m3, DType::kE4m3, DType::kF32, 0, false}).Run().empty());
}

TEST(GemmFp8Support, RefusesWhatItCannotCompute) {
  if (CudaBackends().empty()) GTEST_SKIP() << "no device";
  const Fp8GemmData data({40, 24, 32, DType::kE4m3, DType::kE5m2, DType::kF32, 1, true});
  const auto refused = [&](const char* why, auto change) {
    cuda::GemmFp8 bad = data.Op();
    change(bad);
    EXPECT_DEATH(bad.Check(), why);
  };
  data.Op().Check();
  refused("24 terms", [](auto& gemm) { gemm.a.values.dims[1] = gemm.b.values.dims[1] = 24; });
  refused("beta is 0.5", [](auto& gemm) { gemm.beta = 0.5f; });
  refused("an operand is u8", [](auto& gemm) { gemm.b.values.dtype = DType::kU8; });
  refused("no scales", [](auto& gemm) { gemm.a.scales = nullptr; });
  refused("one tensor is f32, another bf16", [](auto& gemm) { gemm.bias.dtype = DType::kBf16; });
  refused("shares memory", [](auto& gemm) { gemm.c.ptr = gemm.a.values.ptr; });
}

}  // namespace
}  // namespace ingot
