// Our product for sm_90a against sums on the CPU. On the emulator the bits are those of sums in the order of k; a tensor core
// has an order of its own.
#include <cmath>

#include "kernels/cuda/runtime.h"
#include "kernels/swiglu.h"
#include "tests/kernels/device_sm90.h"
#include "tests/kernels/gemm_sm90_data.h"

namespace ingot {
namespace {

// What two f32 sums of K products of normal numbers may differ by, each rounded once to the output's type.
double Tolerance(int64_t K, DType out, float value) {
  if (cuda::IsEmulated()) return 0;
  const double terms = std::sqrt(static_cast<double>(K));
  return 2 * kUnit * terms * (4 + terms) + 2 * (out == DType::kBf16 ? 0x1p-8 : kUnit) * std::fabs(value) + 1e-6;
}

class GemmSm90 : public testing::TestWithParam<GemmShape> {};

TEST_P(GemmSm90, IsTheProduct) {
  if (!CanRunSm90()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const OnSm90 device;
  const GemmData data(GetParam());
  ASSERT_TRUE(cuda::TakesGemmSm90(data.Op()));
  const Floats found = data.Run();
  for (int64_t m = 0; m < data.shape.M; ++m) {
    for (int64_t n = 0; n < data.shape.N; ++n) {
      const float expected = data.Expected(m, n);
      ASSERT_NEAR(found[m * data.shape.N + n], expected, Tolerance(data.shape.K, data.shape.out, expected))
          << m << ", " << n;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmSm90, testing::ValuesIn(GemmShapes()),
                         [](const auto& shape) { return shape.param.Name(); });

TEST(GemmSm90Support, TakesOnlyWhatTmaCanLoad) {
  if (!CanRunSm90()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const OnSm90 device;
  const auto takes = [](DType in, int64_t K, int64_t offset) {
    const DeviceMatrix a(in, 9, K, 1), b(DType::kBf16, 8, K, 2), c(DType::kF32, 8, 8, 3);
    const Tensor shifted(a.memory.data() + offset, in, {8, K});
    return cuda::TakesGemmSm90({.a = shifted, .b = b.tensor, .c = c.tensor, .transpose_b = true});
  };
  EXPECT_TRUE(takes(DType::kBf16, 16, 0));
  EXPECT_FALSE(takes(DType::kBf16, 12, 0)) << "rows of 24 bytes";
  EXPECT_FALSE(takes(DType::kBf16, 16, 2)) << "an odd address";
  EXPECT_FALSE(takes(DType::kF32, 16, 0)) << "f32";
}

class SwigluGemmSm90 : public testing::TestWithParam<std::tuple<int, int, int>> {};

// The same bits as the product and the activation, one after the other.
TEST_P(SwigluGemmSm90, IsTheProductAndTheActivation) {
  if (!CanRunSm90()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const OnSm90 device;
  const auto [R, F, C] = GetParam();
  const DeviceMatrix x(DType::kBf16, R, C, 1), w(DType::kBf16, 2 * F, C, 2);
  const DeviceMatrix gate_up(DType::kBf16, R, 2 * F, 3), fused(DType::kBf16, R, 2 * F, 4);
  const DeviceMatrix y(DType::kBf16, R, F, 5), fused_y(DType::kBf16, R, F, 6);
  cuda::RunGemmSm90({.a = x.tensor, .b = w.tensor, .c = gate_up.tensor, .transpose_b = true}, CudaMemory::Stream());
  Context ctx({}, Device::kCuda, CudaMemory::Stream());
  ctx.Run(SwigluForward{.gate_up = gate_up.tensor, .y = y.tensor});
  const cuda::SwigluGemm op{.x = x.tensor, .w = w.tensor, .gate_up = fused.tensor, .y = fused_y.tensor};
  ASSERT_TRUE(cuda::TakesSwigluGemmSm90(op));
  cuda::RunSwigluGemmSm90(op, CudaMemory::Stream());
  CudaMemory::Finish(absl::OkStatus());
  EXPECT_EQ(fused.Values(), gate_up.Values());
  const Floats wanted = y.Values(), found = fused_y.Values();
  for (size_t i = 0; i < wanted.size(); ++i) {
    // nvcc may contract other pairs to a multiply-add here and there.
    const double tolerance = cuda::IsEmulated() ? 0 : 0x1p-7 * std::fabs(wanted[i]);
    ASSERT_NEAR(found[i], wanted[i], tolerance) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, SwigluGemmSm90,
                         testing::Values(std::tuple(1, 1, 8), std::tuple(130, 127, 72), std::tuple(129, 136, 264),
                                         std::tuple(70, 264, 400)));

}  // namespace
}  // namespace ingot
