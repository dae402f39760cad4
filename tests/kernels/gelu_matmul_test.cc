#include "kernels/gelu_matmul.h"

#include <cmath>
#include <tuple>

#include "kernels/gelu.h"
#include "kernels/matmul.h"
#include "tests/kernels/references.h"

namespace ingot {
namespace {

// in: x (R, I), w (O, I), bias (O); out: y
struct Reference {
  LinearReference layer;
  template <typename N>
  std::vector<N> operator()(const Arrays<N>& in) const {
    return GeluOf(layer(in));
  }
};

struct ForwardData {
  ForwardData(int64_t R_, int64_t I_, int64_t O_)
      : R(R_),
        I(I_),
        O(O_),
        x(Normal(R * I, 1)),
        w(Normal(O * I, 2)),
        bias(Normal(O, 3)),
        pre(Nans(R * O)),
        y(Nans(R * O)) {}
  GeluMatmulForward Op() {
    return {.x = ScalarView(x, {R, I}),
            .w = ScalarView(w, {O, I}),
            .bias = ScalarView(bias, {O}),
            .pre = ScalarView(pre, {R, O}),
            .y = ScalarView(y, {R, O})};
  }
  Arrays<double> In() const { return {Doubles(x), Doubles(w), Doubles(bias)}; }
  int64_t R, I, O;
  Floats x, w, bias, pre, y;
};

// What y may owe to a pre that was rounded on the way: GELU's slope is at most 1.13.
std::vector<double> RoundedPre(const Floats& pre) {
  std::vector<double> bound;
  for (const float value : pre) bound.push_back(ScalarUnit() * 1.13 * std::fabs(static_cast<double>(value)));
  return bound;
}

class GeluMatmul : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(GeluMatmul, Forward) {
  const auto [R, I, O] = GetParam();
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    ForwardData data(R, I, O);
    RunOp(data.Op());
    ExpectScalarsClose(data.pre, LinearReference{R, I, O}, data.In(), I);
    const Reference reference = {{R, I, O}};
    // The emulator's product makes y of the sum before it is rounded; a GPU may not.
    const bool midway = backend.scalar == DType::kBf16 && !cuda::IsEmulated();
    ExpectWithin(data.y, reference(data.In()), Sensitivity(reference, data.In()), I, false, ScalarUnit(),
                 midway ? RoundedPre(data.pre) : std::vector<double>());
  }
}

// dpre, from pre, which here is any number: the activation's own input.
struct BackwardData {
  BackwardData(int64_t R_, int64_t I_, int64_t O_)
      : R(R_),
        I(I_),
        O(O_),
        dy(Normal(R * O, 1)),
        x(Normal(R * I, 2)),
        w(Normal(O * I, 3)),
        pre(Normal(R * I, 4, 2)),
        dpre(Nans(R * I)),
        dw(Normal(O * I, 5)),
        dbias(Normal(O, 6)) {}
  GeluMatmulBackward Op() {
    return {.dy = ScalarView(dy, {R, O}),
            .x = ScalarView(x, {R, I}),
            .w = ScalarView(w, {O, I}),
            .pre = ScalarView(pre, {R, I}),
            .dpre = ScalarView(dpre, {R, I}),
            .dw = View(dw, {O, I}),
            .dbias = View(dbias, {O})};
  }
  int64_t R, I, O;
  Floats dy, x, w, pre, dpre, dw, dbias;
};

// in: pre (R, I), and w (O, I): what dy is multiplied with.
struct LayerAfterGelu {
  LinearReference layer;
  template <typename N>
  std::vector<N> operator()(const Arrays<N>& in) const {
    return layer(Arrays<N>{GeluOf(in[0]), in[1], std::vector<N>(layer.O)});
  }
};

TEST_P(GeluMatmul, Backward) {
  const auto [R, I, O] = GetParam();
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    BackwardData data(R, I, O), apart(R, I, O);
    RunOp(data.Op());
    const GeluMatmulBackward op = apart.Op();
    RunOp(MatmulBackward{.dy = op.dy, .x = op.x, .w = op.w, .dw = op.dw, .dbias = op.dbias});
    EXPECT_EQ(data.dw, apart.dw);
    EXPECT_EQ(data.dbias, apart.dbias);
    const Function gradient = GradientOf(LayerAfterGelu{{R, I, O}}, 0);
    const Arrays<double> in = {Doubles(data.pre), Doubles(data.w), Doubles(data.dy)};
    std::vector<double> midway = gradient(in);
    for (double& value : midway) value = std::fabs(value) * ScalarUnit();
    const bool rounds = backend.scalar == DType::kBf16 && !cuda::IsEmulated();
    ExpectWithin(data.dpre, gradient(in), Sensitivity(gradient, in), O, false, ScalarUnit(),
                 rounds ? midway : std::vector<double>());
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, GeluMatmul,
                         testing::Values(std::tuple(1, 1, 1), std::tuple(3, 8, 5), std::tuple(17, 24, 8),
                                         std::tuple(5, 3, 33)));

// The activation inside of the product and behind it differ by the rounding of pre, and not at all where nothing is rounded.
TEST(GeluMatmulTest, EqualsItsParts) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    ForwardData whole(19, 40, 24), parts(19, 40, 24);
    RunOp(whole.Op());
    GeluMatmulForward op = parts.Op();
    op.in_parts = true;
    RunOp(op);
    EXPECT_EQ(whole.pre, parts.pre);
    Floats again = Nans(19 * 24);
    RunOp(GeluForward{.x = op.pre, .y = ScalarView(again, {19, 24})});
    EXPECT_EQ(parts.y, again);
    const std::vector<double> bound = RoundedPre(parts.pre);
    for (size_t i = 0; i < parts.y.size(); ++i) {
      const double y = std::fabs(static_cast<double>(parts.y[i]));
      const double rounded = backend.scalar == DType::kBf16 ? bound[i] + ScalarUnit() * y : 0;
      ASSERT_NEAR(whole.y[i], parts.y[i], rounded) << i;
    }
  }
}

TEST(GeluMatmulDeathTest, RefusesWrongArguments) {
  ForwardData data(2, 3, 4);
  GeluMatmulForward op = data.Op();
  op.y = op.pre;
  op.y.ptr = op.x.ptr;
  EXPECT_DEATH(RunOp(op), "shares memory with an input");
  BackwardData backward(2, 3, 4);
  GeluMatmulBackward wrong = backward.Op();
  wrong.dpre = wrong.pre;
  EXPECT_DEATH(RunOp(wrong), "shares memory with an input");
}

}  // namespace
}  // namespace ingot
