#include "kernels/residual_rmsnorm.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "tests/kernels/fp8_data.h"

namespace ingot {
namespace {

// in: x (R, C), residual (R, C), w (C). Out: y (R, C), then sum (R, C).
struct Reference {
  int64_t R, C;
  double eps;
  template <typename N>
  std::vector<N> operator()(const Arrays<N>& in) const {
    std::vector<N> out(2 * R * C);
    for (int64_t r = 0; r < R; ++r) {
      N squares = 0;
      for (int64_t i = r * C; i < (r + 1) * C; ++i) {
        out[R * C + i] = in[0][i] + in[1][i];
        squares += out[R * C + i] * out[R * C + i];
      }
      const N rstd = 1.0 / std::sqrt(squares / static_cast<double>(C) + eps);
      for (int64_t c = 0; c < C; ++c) out[r * C + c] = out[R * C + r * C + c] * rstd * in[2][c];
    }
    return out;
  }
};

struct Data {
  Data(int64_t R_, int64_t C_, Values values = Values::kNormal)
      : R(R_),
        C(C_),
        x(Make(values, R, C, 1)),
        residual(Make(values, R, C, 2)),
        w(Normal(C, 3)),
        dy(Normal(R * C, 4)),
        dsum(Normal(R * C, 5)),
        sum(Nans(R * C)),
        y(Nans(R * C)),
        rstd(Nans(R)),
        dx(Nans(R * C)),
        dw(Normal(C, 6)) {}
  ResidualRmsNormForward Forward() {
    return {.x = ScalarView(x, {R, C}),
            .residual = ScalarView(residual, {R, C}),
            .w = ScalarView(w, {C}),
            .sum = ScalarView(sum, {R, C}),
            .y = ScalarView(y, {R, C}),
            .rstd = View(rstd, {R})};
  }
  ResidualRmsNormBackward Backward() {
    return {.dy = ScalarView(dy, {R, C}),
            .dsum = ScalarView(dsum, {R, C}),
            .x = ScalarView(sum, {R, C}),
            .w = ScalarView(w, {C}),
            .rstd = View(rstd, {R}),
            .dx = ScalarView(dx, {R, C}),
            .dw = View(dw, {C})};
  }
  Reference reference() const { return {R, C, static_cast<double>(1e-6f)}; }
  Arrays<double> ForwardIn() const { return {Doubles(x), Doubles(residual), Doubles(w)}; }
  // The gradients are those at the sum that forward left.
  Arrays<double> BackwardIn() const {
    return {Doubles(sum), std::vector<double>(R * C), Doubles(w), Doubles(Joined({dy, dsum}))};
  }

  int64_t R, C;
  Floats x, residual, w, dy, dsum, sum, y, rstd, dx, dw;
};

// dx as the header states it, of in: dy, dsum, x, w, rstd. Only for the tolerance: rstd reaches backward rounded, which
// shows where one element makes up its row and dx is the difference of two equal products.
std::vector<double> Dx(const Arrays<double>& in) {
  const size_t R = in[4].size(), C = in[3].size();
  std::vector<double> dx = in[1];
  for (size_t r = 0; r < R; ++r) {
    const double rstd = in[4][r];
    double mean = 0;
    for (size_t c = 0; c < C; ++c) mean += in[0][r * C + c] * in[3][c] * in[2][r * C + c] / static_cast<double>(C);
    for (size_t c = 0; c < C; ++c) {
      dx[r * C + c] += rstd * (in[0][r * C + c] * in[3][c] - in[2][r * C + c] * rstd * rstd * mean);
    }
  }
  return dx;
}

// Forward against the reference. The norm reads the sum as it was stored.
void ExpectForward(const Data& data, bool structured = false) {
  const auto all = data.reference();
  const auto part = [&](bool of_sum) {
    return [all, of_sum, n = data.R * data.C](const Arrays<double>& in) {
      const std::vector<double> out = all(in);
      return of_sum ? std::vector<double>(out.begin() + n, out.end())
                    : std::vector<double>(out.begin(), out.begin() + n);
    };
  };
  Arrays<double> in = data.ForwardIn();
  ExpectScalarsClose(data.sum, part(true), in, 1, structured);
  in[0] = Doubles(data.sum);
  in[1].assign(in[1].size(), 0.0);
  ExpectScalarsClose(data.y, part(false), in, data.C, structured);
}

class ResidualRmsNorm : public testing::TestWithParam<std::tuple<int, int>> {};

TEST_P(ResidualRmsNorm, ForwardAndBackward) {
  const auto [R, C] = GetParam();
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const Values values : kAllValues) {
      Data data(R, C, values);
      const Floats start = data.dw;
      RunOp(data.Forward());
      ExpectForward(data, Structured(values));
      RunOp(data.Backward());
      const Arrays<double> in = {Doubles(data.dy), Doubles(data.dsum), Doubles(data.sum), Doubles(data.w),
                                 Doubles(data.rstd)};
      ExpectWithin(data.dx, Gradient(data.reference(), data.BackwardIn(), 0), Sensitivity(Dx, in), C,
                   Structured(values), ScalarUnit());
      ExpectClose(data.dw, GradientOf(data.reference(), 2, start), data.BackwardIn(), R + C, Structured(values));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ResidualRmsNorm,
                         testing::Values(std::tuple(1, 1), std::tuple(2, 3), std::tuple(3, 8), std::tuple(31, 1),
                                         std::tuple(17, 24), std::tuple(65, 3), std::tuple(9, 33), std::tuple(1, 257)));

TEST(ResidualRmsNormTest, LargeShape) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(130, 769);
    data.dw.assign(data.C, 0.0f);
    RunOp(data.Forward());
    RunOp(data.Backward());
    const Reference reference = data.reference();
    ExpectForward(data);
    ExpectCloseAlong({data.dx, {}, data.dw}, reference, data.BackwardIn(), data.R + data.C);
  }
}

TEST(ResidualRmsNormTest, WithoutResidual) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(5, 7), plain(5, 7);
    std::fill(data.residual.begin(), data.residual.end(), 0.0f);
    RunOp(data.Forward());
    ResidualRmsNormForward forward = plain.Forward();
    forward.residual = forward.sum = {};
    RunOp(forward);
    EXPECT_EQ(plain.y, data.y);
    EXPECT_EQ(plain.rstd, data.rstd);
    std::fill(data.dsum.begin(), data.dsum.end(), 0.0f);
    RunOp(data.Backward());
    plain.sum = plain.x;
    ResidualRmsNormBackward backward = plain.Backward();
    backward.dsum = {};
    RunOp(backward);
    EXPECT_EQ(plain.dx, data.dx);
    EXPECT_EQ(plain.dw, data.dw);
  }
}

TEST(ResidualRmsNormTest, OutputsMayBeInputs) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data apart(6, 19), in_place(6, 19), in_dy(6, 19);
    RunOp(apart.Forward());
    RunOp(apart.Backward());
    ResidualRmsNormForward forward = in_place.Forward();
    forward.sum = forward.x;
    RunOp(forward);
    EXPECT_EQ(in_place.x, apart.sum);
    EXPECT_EQ(in_place.y, apart.y);
    in_place.sum = in_place.x;
    ResidualRmsNormBackward backward = in_place.Backward();
    backward.dx = backward.dsum;
    RunOp(backward);
    EXPECT_EQ(in_place.dsum, apart.dx);
    EXPECT_EQ(in_place.dw, apart.dw);
    RunOp(in_dy.Forward());
    backward = in_dy.Backward();
    backward.dx = backward.dy;
    RunOp(backward);
    EXPECT_EQ(in_dy.dy, apart.dx);
    EXPECT_EQ(in_dy.dw, apart.dw);
  }
}

TEST(ResidualRmsNormTest, RoundedToFp8) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const auto& [R, C] : kFp8Shapes) {
      for (const bool with_residual : {true, false}) {
        ExpectFusedEqualsParts<E4m3>(R, C, [=, R = R, C = C](Tensor y, Fp8Matrix y8) {
          Data data(R, C);
          ResidualRmsNormForward forward = data.Forward();
          if (!with_residual) forward.residual = forward.sum = {};
          forward.y = y;
          forward.y8 = y8;
          RunOp(forward);
        });
      }
    }
  }
}

TEST(ResidualRmsNormTest, BitsDoNotDependOnThreads) {
  ExpectSameBitsForThreads([] {
    Data data(131, 257);
    RunOp(data.Forward());
    RunOp(data.Backward());
    return Joined({data.y, data.sum, data.rstd, data.dx, data.dw});
  });
}

TEST(ResidualRmsNormTest, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    Data data(131, 257);
    RunOp(data.Forward());
    RunOp(data.Backward());
    return Joined({data.y, data.sum, data.rstd, data.dx, data.dw});
  });
}

TEST(ResidualRmsNormDeathTest, RefusesWrongArguments) {
  Data data(2, 3);
  ResidualRmsNormForward forward = data.Forward();
  forward.y = forward.sum;
  EXPECT_DEATH(RunOp(forward), "shares memory");
  forward = data.Forward();
  forward.sum = {};
  EXPECT_DEATH(RunOp(forward), "both or not at all");
  forward = data.Forward();
  forward.w = View(data.rstd, {2});
  EXPECT_DEATH(RunOp(forward), "w must be");
  forward = data.Forward();
  forward.rstd.ptr = nullptr;
  EXPECT_DEATH(RunOp(forward), "no memory");
  forward = data.Forward();
  forward.x.dtype = DType::kI32;
  EXPECT_DEATH(RunOp(forward), "not f32");
  ResidualRmsNormBackward backward = data.Backward();
  backward.dx = backward.x;
  EXPECT_DEATH(RunOp(backward), "shares memory");
  backward = data.Backward();
  backward.dw = {};
  EXPECT_DEATH(RunOp(backward), "dw must be");
}

}  // namespace
}  // namespace ingot
