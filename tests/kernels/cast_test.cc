#include "kernels/cast.h"

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

TEST(CastTest, RoundsLikeToBf16AndWidensExactly) {
  for (const int64_t N : {1, 7, 8, 33, 20001}) {
    Floats x = Normal(N, 1), back = Nans(N);
    x[0] = 1 + 0x1p-8f;  // half way: to even
    std::vector<Bf16> y(N);
    RunOp(Cast{.x = View(x, {N}), .y = View(y, {N})});
    RunOp(Cast{.x = View(y, {N}), .y = View(back, {N})});
    for (int64_t n = 0; n < N; ++n) {
      EXPECT_EQ(y[n].bits, ToBf16(x[n]).bits) << n;
      EXPECT_EQ(back[n], ToFloat(y[n])) << n;
    }
    EXPECT_EQ(back[0], 1);
  }
}

TEST(CastDeathTest, RefusesWrongArguments) {
  Floats x(3), y(3);
  std::vector<Bf16> shorter(2);
  EXPECT_DEATH(RunOp(Cast{.x = View(x, {3}), .y = View(x, {3})}), "shares memory");
  EXPECT_DEATH(RunOp(Cast{.x = View(x, {3}), .y = View(shorter, {2})}), "differ in shape");
  EXPECT_DEATH(RunOp(Cast{.x = View(x, {3}), .y = {}}), "missing");
  EXPECT_DEATH(RunOp(Cast{.x = View(x, {3}), .y = Tensor(y.data(), DType::kI32, {3})}), "not f32 or bf16");
}

}  // namespace
}  // namespace ingot
