#include "kernels/gelu.h"

#include <tuple>

#include "tests/kernels/fp8_data.h"
#include "tests/kernels/references.h"

namespace ingot {
namespace {

// in: x
struct Reference {
  template <typename N>
  std::vector<N> operator()(const Arrays<N>& in) const {
    return GeluOf(in[0]);
  }
};

struct Data {
  Data(int64_t R_, int64_t F_, Values values = Values::kNormal)
      : R(R_), F(F_), x(Make(values, R, F, 1)), y(Nans(R * F)), dy(Normal(R * F, 2)), dx(Nans(R * F)) {}
  GeluForward Forward() { return {.x = ScalarView(x, {R, F}), .y = ScalarView(y, {R, F})}; }
  GeluBackward Backward() {
    return {.dy = ScalarView(dy, {R, F}), .x = ScalarView(x, {R, F}), .dx = ScalarView(dx, {R, F})};
  }
  int64_t R, F;
  Floats x, y, dy, dx;
};

class Gelu : public testing::TestWithParam<std::tuple<int, int>> {};

TEST_P(Gelu, ForwardAndBackward) {
  const auto [R, F] = GetParam();
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const Values values : kAllValues) {
      Data data(R, F, values);
      RunOp(data.Forward());
      RunOp(data.Backward());
      ExpectScalarsClose(data.y, Reference{}, {Doubles(data.x)}, 1);
      ExpectScalarsClose(data.dx, GradientOf(Reference{}, 0), {Doubles(data.x), Doubles(data.dy)}, 1);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Gelu,
                         testing::Values(std::tuple(1, 1), std::tuple(2, 3), std::tuple(17, 24), std::tuple(31, 33),
                                         std::tuple(1, 257), std::tuple(129, 8)));

// The left tail, where 1 + tanh u has lost its digits, the bend, and the straight right side.
TEST(GeluTest, TheWholeCurve) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(1, 400);
    for (int64_t n = 0; n < 400; ++n) data.x[n] = -6.0f + 0.03f * static_cast<float>(n);
    RunOp(data.Forward());
    RunOp(data.Backward());
    ExpectScalarsClose(data.y, Reference{}, {Doubles(data.x)}, 1);
    ExpectScalarsClose(data.dx, GradientOf(Reference{}, 0), {Doubles(data.x), Doubles(data.dy)}, 1);
  }
}

TEST(GeluTest, LargeShapeAlongADirection) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(129, 1031);
    RunOp(data.Backward());
    ExpectCloseAlong({data.dx}, Reference{}, {Doubles(data.x), Doubles(data.dy)}, 1);
  }
}

TEST(GeluTest, OutputsMayBeInputs) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data apart(7, 13), in_place(7, 13);
    RunOp(apart.Forward());
    RunOp(apart.Backward());
    GeluBackward backward = in_place.Backward();
    backward.dx = backward.dy;
    RunOp(backward);
    EXPECT_EQ(in_place.dy, apart.dx);
    GeluForward forward = in_place.Forward();
    forward.y = forward.x;
    RunOp(forward);
    EXPECT_EQ(in_place.x, apart.y);
  }
}

TEST(GeluTest, RoundedToFp8) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const auto& [R, F] : kFp8Shapes) {
      ExpectFusedEqualsParts<E4m3>(R, F, [R = R, F = F](Tensor y, Fp8Matrix y8) {
        Floats x = Normal(R * F, 1);
        RunOp(GeluForward{.x = ScalarView(x, {R, F}), .y = y, .y8 = y8});
      });
      ExpectFusedEqualsParts<E5m2>(R, F, [R = R, F = F](Tensor dx, Fp8Matrix dx8) {
        Floats dy = Normal(R * F, 1), x = Normal(R * F, 2);
        RunOp(GeluBackward{.dy = ScalarView(dy, {R, F}), .x = ScalarView(x, {R, F}), .dx = dx, .dx8 = dx8});
      });
    }
  }
}

TEST(GeluTest, BitsDoNotDependOnThreads) {
  ExpectSameBitsForThreads([] {
    Data data(131, 257);
    RunOp(data.Forward());
    RunOp(data.Backward());
    return Joined({data.y, data.dx});
  });
}

TEST(GeluTest, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    Data data(131, 257);
    RunOp(data.Forward());
    RunOp(data.Backward());
    return Joined({data.y, data.dx});
  });
}

TEST(GeluDeathTest, RefusesWrongArguments) {
  Data data(2, 3);
  GeluBackward backward = data.Backward();
  backward.dx = backward.x;
  EXPECT_DEATH(RunOp(backward), "shares memory");
  GeluForward forward = data.Forward();
  forward.y = View(data.y, {3, 2});
  EXPECT_DEATH(RunOp(forward), "y must be");
  forward = data.Forward();
  forward.y = {};
  EXPECT_DEATH(RunOp(forward), "y must be");
  forward = data.Forward();
  forward.y.ptr = nullptr;
  EXPECT_DEATH(RunOp(forward), "no memory");
}

}  // namespace
}  // namespace ingot
