#include "kernels/cast.h"

#include <cmath>
#include <limits>

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

// Where rounding to bf16 turns: ties of both parities, the largest number that does not overflow, denormals, and what
// has no neighbours.
Floats EdgeCases() {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  Floats x = {0.0f,       -0.0f,       1.0f,         0x1.01p0f,   0x1.03p0f,    0x1.0100001p0f,
              -0x1.03p0f, 0x1.fep127f, 0x1.fefp127f, 0x1.ffp127f, -0x1.ffp127f, kInfinity,
              -kInfinity, 0x1p-126f,   0x1.8p-133f,  0x1p-133f,   0x1p-134f,    0x1.8p-134f};
  const Floats more = Normal(1000, 1);
  x.insert(x.end(), more.begin(), more.end());
  return x;
}

TEST(CastTest, RoundsToNearestEven) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Floats x = EdgeCases(), y = Nans(static_cast<int64_t>(x.size()));
    const int64_t N = Count(View(x, {static_cast<int64_t>(x.size())}));
    RunOp(Cast{.x = View(x, {N}), .y = Bf16View(y, {N})});
    for (int64_t n = 0; n < N; ++n) {
      EXPECT_EQ(std::bit_cast<uint32_t>(y[n]), std::bit_cast<uint32_t>(ToFloat(ToBf16(x[n])))) << x[n];
    }
    Floats back = Nans(N);
    RunOp(Cast{.x = Bf16View(y, {N}), .y = View(back, {N})});
    EXPECT_EQ(back, y);
  }
}

TEST(CastTest, NanStaysNan) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Floats x = {1, std::bit_cast<float>(0x7f800001u), std::bit_cast<float>(0xffffffffu)}, y(3);
    RunOp(Cast{.x = View(x, {3}), .y = Bf16View(y, {3})});
    EXPECT_EQ(y[0], 1.0f);
    EXPECT_TRUE(std::isnan(y[1]) && std::isnan(y[2]));
  }
}

TEST(CastTest, AnyLength) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t N : {1, 7, 8, 33, 20001}) {
      Floats x = Normal(N, 1), memory(N + 2, -1.0f);
      Floats expected = x;
      for (float& element : expected) element = ToFloat(ToBf16(element));
      RunOp(Cast{.x = View(x, {N}), .y = Tensor(memory.data() + 1, DType::kBf16, {N})});
      EXPECT_EQ(Floats(memory.begin() + 1, memory.end() - 1), expected);
      EXPECT_EQ(memory.front() + memory.back(), -2.0f);
    }
  }
}

// Memory of a device that no 16-byte load may read.
TEST(CastTest, AnyAddressOnADevice) {
  if (CudaBackends().empty()) GTEST_SKIP() << "no CUDA device";
  const Floats x = Normal(34, 1);
  const CudaMemory from(34 * 4), to(33 * 2);
  from.CopyFrom(reinterpret_cast<const char*>(x.data()));
  RunOpOnCuda(Cast{.x = Tensor(from.data() + 4, DType::kF32, {33}), .y = Tensor(to.data(), DType::kBf16, {33})});
  std::vector<Bf16> y(33);
  to.CopyTo(reinterpret_cast<char*>(y.data()));
  for (int n = 0; n < 33; ++n) EXPECT_EQ(y[n].bits, ToBf16(x[n + 1]).bits);
}

TEST(CastDeathTest, RefusesWrongArguments) {
  Floats x(4), y(4);
  EXPECT_DEATH(RunOp(Cast{.x = View(x, {4}), .y = View(y, {4})}), "not from f32 to f32");
  EXPECT_DEATH(RunOp(Cast{.x = View(x, {4}), .y = Tensor(y.data(), DType::kBf16, {3})}), "4 elements into 3");
}

}  // namespace
}  // namespace ingot
