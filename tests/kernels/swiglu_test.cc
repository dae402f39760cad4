#include "kernels/swiglu.h"

#include <tuple>

#include "tests/kernels/fp8_data.h"
#include "tests/kernels/references.h"

namespace ingot {
namespace {

struct Data {
  Data(int64_t R_, int64_t F_, Values values = Values::kNormal)
      : R(R_),
        F(F_),
        gate_up(Make(values, R, 2 * F, 1)),
        y(Nans(R * F)),
        dy(Normal(R * F, 2)),
        dgate_up(Nans(2 * R * F)) {}
  SwigluForward Forward() { return {.gate_up = ScalarView(gate_up, {R, 2 * F}), .y = ScalarView(y, {R, F})}; }
  SwigluBackward Backward() {
    return {.dy = ScalarView(dy, {R, F}),
            .gate_up = ScalarView(gate_up, {R, 2 * F}),
            .dgate_up = ScalarView(dgate_up, {R, 2 * F})};
  }
  void ExpectGradient() {
    RunOp(Backward());
    ExpectScalarsClose(dgate_up, GradientOf(SwigluReference{R, F}, 0), {Doubles(gate_up), Doubles(dy)}, 1);
  }
  int64_t R, F;
  Floats gate_up, y, dy, dgate_up;
};

class Swiglu : public testing::TestWithParam<std::tuple<int, int>> {};

TEST_P(Swiglu, ForwardAndBackward) {
  const auto [R, F] = GetParam();
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const Values values : kAllValues) {
      Data data(R, F, values);
      RunOp(data.Forward());
      ExpectScalarsClose(data.y, SwigluReference{R, F}, {Doubles(data.gate_up)}, 1);
      data.ExpectGradient();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Swiglu,
                         testing::Values(std::tuple(1, 1), std::tuple(2, 3), std::tuple(17, 24), std::tuple(31, 8),
                                         std::tuple(1, 257), std::tuple(129, 3)));

// Gates from -80, where the sigmoid is nearly denormal, to 80, where it is 1.
TEST(SwigluTest, TheWholeCurve) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(1, 320);
    for (int64_t f = 0; f < 320; ++f) data.gate_up[f] = -80.0f + 0.5f * static_cast<float>(f);
    RunOp(data.Forward());
    ExpectScalarsClose(data.y, SwigluReference{1, 320}, {Doubles(data.gate_up)}, 1);
    data.ExpectGradient();
  }
}

TEST(SwigluTest, LargeShapeAlongADirection) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(129, 1031);
    RunOp(data.Backward());
    ExpectCloseAlong({data.dgate_up}, SwigluReference{129, 1031}, {Doubles(data.gate_up), Doubles(data.dy)}, 1);
  }
}

TEST(SwigluTest, GradientMayReplaceTheInput) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data apart(7, 13), in_place(7, 13);
    RunOp(apart.Backward());
    SwigluBackward backward = in_place.Backward();
    backward.dgate_up = backward.gate_up;
    RunOp(backward);
    EXPECT_EQ(in_place.gate_up, apart.dgate_up);
  }
}

TEST(SwigluTest, RoundedToFp8) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const auto& [R, F] : kFp8Shapes) {
      ExpectFusedEqualsParts<E4m3>(R, F, [R = R, F = F](Tensor y, Fp8Matrix y8) {
        Data data(R, F);
        SwigluForward forward = data.Forward();
        forward.y = y;
        forward.y8 = y8;
        RunOp(forward);
      });
      ExpectFusedEqualsParts<E5m2>(R, 2 * F, [R = R, F = F](Tensor dgate_up, Fp8Matrix dgate_up8) {
        Data data(R, F);
        SwigluBackward backward = data.Backward();
        backward.dgate_up = dgate_up;
        backward.dgate_up8 = dgate_up8;
        RunOp(backward);
      });
    }
  }
}

TEST(SwigluTest, BitsDoNotDependOnThreads) {
  ExpectSameBitsForThreads([] {
    Data data(131, 257);
    RunOp(data.Forward());
    RunOp(data.Backward());
    return Joined({data.y, data.dgate_up});
  });
}

TEST(SwigluTest, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    Data data(131, 257);
    RunOp(data.Forward());
    RunOp(data.Backward());
    return Joined({data.y, data.dgate_up});
  });
}

TEST(SwigluDeathTest, RefusesWrongArguments) {
  Data data(2, 3);
  SwigluForward forward = data.Forward();
  forward.gate_up = View(data.gate_up, {4, 3});
  EXPECT_DEATH(RunOp(forward), "gate_up must be");
  forward = data.Forward();
  forward.y = Tensor(data.gate_up.data(), DType::kF32, {2, 3});
  EXPECT_DEATH(RunOp(forward), "shares memory");
  SwigluBackward backward = data.Backward();
  backward.dy.ptr = nullptr;
  EXPECT_DEATH(RunOp(backward), "no memory");
}

}  // namespace
}  // namespace ingot
