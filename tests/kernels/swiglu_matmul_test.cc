#include "kernels/swiglu_matmul.h"

#include <tuple>

#include "kernels/matmul.h"
#include "kernels/swiglu.h"
#include "tests/kernels/device_sm90.h"
#include "tests/kernels/references.h"

namespace ingot {
namespace {

struct Data {
  Data(int64_t R_, int64_t C_, int64_t F_)
      : R(R_), C(C_), F(F_), x(Normal(R * C, 1)), w(Normal(2 * F * C, 2)), gate_up(Nans(2 * R * F)), y(Nans(R * F)) {}
  SwigluMatmulForward Op() {
    return {.x = ScalarView(x, {R, C}),
            .w = ScalarView(w, {2 * F, C}),
            .gate_up = ScalarView(gate_up, {R, 2 * F}),
            .y = ScalarView(y, {R, F})};
  }
  // y from gate_up as it was stored.
  void Expect() {
    RunOp(Op());
    ExpectScalarsClose(gate_up, LinearReference{R, C, 2 * F}, {Doubles(x), Doubles(w), std::vector<double>(2 * F)}, C);
    ExpectScalarsClose(y, SwigluReference{R, F}, {Doubles(gate_up)}, 1);
  }
  int64_t R, C, F;
  Floats x, w, gate_up, y;
};

class SwigluMatmul : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(SwigluMatmul, Forward) {
  const auto [R, C, F] = GetParam();
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data(R, C, F).Expect();
  }
  if (!CanRunSm90()) return;
  const OnBackend on(kCudaBf16);
  const OnSm90 device;
  Data(R, C, F).Expect();
}

INSTANTIATE_TEST_SUITE_P(Shapes, SwigluMatmul,
                         testing::Values(std::tuple(1, 1, 1), std::tuple(3, 8, 5), std::tuple(17, 24, 33),
                                         std::tuple(130, 40, 131)));

// Both ways to compute it round at the same places.
TEST(SwigluMatmulTest, IsTheProductAndTheActivation) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data whole(19, 24, 21), parts(19, 24, 21);
    RunOp(whole.Op());
    const SwigluMatmulForward op = parts.Op();
    RunOp(MatmulForward{.x = op.x, .w = op.w, .y = op.gate_up});
    RunOp(SwigluForward{.gate_up = op.gate_up, .y = op.y});
    EXPECT_EQ(whole.gate_up, parts.gate_up);
    EXPECT_EQ(whole.y, parts.y);
  }
}

TEST(SwigluMatmulDeathTest, RefusesWrongArguments) {
  Data data(2, 3, 4);
  SwigluMatmulForward op = data.Op();
  op.y = View(data.gate_up, {2, 8});
  EXPECT_DEATH(RunOp(op), "gate_up must be");
  op = data.Op();
  op.y = Tensor(data.x.data(), DType::kF32, {2, 4});
  EXPECT_DEATH(RunOp(op), "shares memory with an input");
}

}  // namespace
}  // namespace ingot
