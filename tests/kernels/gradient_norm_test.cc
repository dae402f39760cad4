#include "kernels/gradient_norm.h"

#include <cmath>
#include <limits>

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

std::vector<double> BlockSums(Floats x) {
  const int64_t N = static_cast<int64_t>(x.size()), blocks = (N + GradientNorm::kBlock - 1) / GradientNorm::kBlock;
  std::vector<double> sums(blocks, std::nan(""));
  RunOp(GradientNorm{.x = View(x, {N}), .block_sums = View(sums, {blocks})});
  return sums;
}

double Norm(const Floats& x) {
  const std::vector<double> sums = BlockSums(x);
  return NormOfBlockSums(sums.data(), static_cast<int64_t>(sums.size()));
}

TEST(GradientNormTest, EqualsASumInLongDouble) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t N : {1, 3, 15, 16, 17, 1031, 65535, 65536, 65537, 200001}) {
      const Floats x = Normal(N, 1);
      long double sum = 0;
      for (const float element : x) sum += static_cast<long double>(element) * static_cast<long double>(element);
      const double norm = static_cast<double>(std::sqrt(sum));
      EXPECT_NEAR(Norm(x), norm, norm * 1e-14) << N;
    }
  }
}

// Memory of a device that no 16-byte load may read: the same bits, one element at a time.
TEST(GradientNormTest, AnyAddressOnADevice) {
  if (CudaBackends().empty()) GTEST_SKIP() << "no CUDA device";
  const OnBackend on(kCudaF32);
  const Floats x = Normal(1031, 1);
  const CudaMemory memory(1032 * 4), sums(8);
  Floats behind_one(1, 0.0f);
  behind_one.insert(behind_one.end(), x.begin(), x.end());
  memory.CopyFrom(reinterpret_cast<const char*>(behind_one.data()));
  RunOpOnCuda(GradientNorm{.x = Tensor(memory.data() + 4, DType::kF32, {1031}),
                           .block_sums = Tensor(sums.data(), DType::kF64, {1})});
  double sum = 0;
  sums.CopyTo(reinterpret_cast<char*>(&sum));
  EXPECT_EQ(sum, BlockSums(x)[0]);
}

// Squares of both lie outside fp32.
TEST(GradientNormTest, LargeAndSmallNumbers) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    EXPECT_DOUBLE_EQ(Norm({3e30f, 4e30f}), std::hypot(static_cast<double>(3e30f), static_cast<double>(4e30f)));
    EXPECT_DOUBLE_EQ(Norm({3e-30f, 4e-30f}), std::hypot(static_cast<double>(3e-30f), static_cast<double>(4e-30f)));
  }
}

TEST(GradientNormTest, NothingAndZeros) {
  EXPECT_EQ(NormOfBlockSums(nullptr, 0), 0);
  EXPECT_EQ(Norm(Floats(70000, 0.0f)), 0);
}

// What stops a run must not get lost in a sum.
TEST(GradientNormTest, NanAndInfinityShow) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Floats x = Normal(70000, 1);
    x[69999] = std::numeric_limits<float>::infinity();
    EXPECT_TRUE(std::isinf(Norm(x)));
    x[5] = std::nanf("");
    EXPECT_TRUE(std::isnan(Norm(x)));
  }
}

TEST(GradientNormTest, BitsDoNotDependOnTheSplitIntoRanges) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    const Floats x = Normal(5 * GradientNorm::kBlock + 77, 1);
    const std::vector<double> whole = BlockSums(x);
    for (int64_t cut = 0; cut < 6; ++cut) {
      const auto middle = x.begin() + cut * GradientNorm::kBlock;
      std::vector<double> parts = BlockSums(Floats(x.begin(), middle));
      const std::vector<double> rest = BlockSums(Floats(middle, x.end()));
      parts.insert(parts.end(), rest.begin(), rest.end());
      EXPECT_EQ(parts, whole);
    }
  }
}

TEST(GradientNormTest, BitsDoNotDependOnThreads) {
  ExpectSameBitsForThreads([] {
    const std::vector<double> sums = BlockSums(Normal(300001, 1));
    Floats bits(2 * sums.size());
    std::memcpy(bits.data(), sums.data(), sums.size() * sizeof(double));
    return bits;
  });
}

TEST(GradientNormTest, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    const std::vector<double> sums = BlockSums(Normal(300001, 1));
    Floats bits(2 * sums.size());
    std::memcpy(bits.data(), sums.data(), sums.size() * sizeof(double));
    return bits;
  });
}

TEST(GradientNormDeathTest, RefusesWrongArguments) {
  Floats x(10);
  std::vector<double> sums(2);
  EXPECT_DEATH(RunOp(GradientNorm{.x = View(x, {10}), .block_sums = View(sums, {2})}), "block_sums must be");
  EXPECT_DEATH(RunOp(GradientNorm{.x = View(x, {10}), .block_sums = Tensor(sums.data(), DType::kF32, {1})}),
               "must be f64");
}

}  // namespace
}  // namespace ingot
