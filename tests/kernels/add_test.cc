#include "kernels/add.h"

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

TEST(AddTest, AnyLength) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t N : {1, 7, 8, 33, 20001}) {
      Floats x = Normal(N, 1), y = Normal(N, 2), expected = y;
      for (int64_t n = 0; n < N; ++n) expected[n] += x[n];
      RunOp(Add{.x = View(x, {N}), .y = View(y, {N})});
      EXPECT_EQ(y, expected);
    }
  }
}

TEST(AddAndClearTest, AnyLength) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t N : {1, 7, 8, 33, 20001}) {
      Floats x = Normal(N, 1), y = Normal(N, 2), expected = y;
      for (int64_t n = 0; n < N; ++n) expected[n] += x[n];
      RunOp(AddAndClear{.x = View(x, {N}), .y = View(y, {N})});
      EXPECT_EQ(y, expected);
      EXPECT_EQ(x, Floats(N, 0.0f));
    }
  }
}

// Memory of a device that no 16-byte load may read.
TEST(AddTest, AnyAddressOnADevice) {
  if (CudaBackends().empty()) GTEST_SKIP() << "no CUDA device";
  const Floats x = Normal(34, 1);
  const CudaMemory from(34 * 4), to(33 * 4);
  from.CopyFrom(reinterpret_cast<const char*>(x.data()));
  to.CopyFrom(reinterpret_cast<const char*>(x.data()));
  RunOpOnCuda(Add{.x = Tensor(from.data() + 4, DType::kF32, {33}), .y = Tensor(to.data(), DType::kF32, {33})});
  Floats y(33);
  to.CopyTo(reinterpret_cast<char*>(y.data()));
  for (int n = 0; n < 33; ++n) EXPECT_EQ(y[n], x[n] + x[n + 1]);
  RunOpOnCuda(AddAndClear{.x = Tensor(from.data() + 4, DType::kF32, {33}), .y = Tensor(to.data(), DType::kF32, {33})});
  Floats z(33), cleared(34);
  to.CopyTo(reinterpret_cast<char*>(z.data()));
  from.CopyTo(reinterpret_cast<char*>(cleared.data()));
  for (int n = 0; n < 33; ++n) EXPECT_EQ(z[n], y[n] + x[n + 1]);
  EXPECT_EQ(cleared[0], x[0]);
  for (int n = 1; n < 34; ++n) EXPECT_EQ(cleared[n], 0);
}

TEST(AddDeathTest, RefusesWrongArguments) {
  Floats x(4), y(4);
  EXPECT_DEATH(RunOp(Add{.x = View(x, {4}), .y = View(y, {3})}), "4 elements to 3");
  EXPECT_DEATH(RunOp(AddAndClear{.x = View(x, {4}), .y = View(x, {4})}), "shares memory");
}

}  // namespace
}  // namespace ingot
