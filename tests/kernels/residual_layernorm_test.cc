#include "kernels/residual_layernorm.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "tests/kernels/fp8_data.h"

namespace ingot {
namespace {

// in: x (R, C), residual (R, C), w (C), b (C). Out: y (R, C), then sum (R, C).
struct Reference {
  int64_t R, C;
  double eps;
  template <typename N>
  std::vector<N> operator()(const Arrays<N>& in) const {
    std::vector<N> out(2 * R * C);
    const double width = static_cast<double>(C);
    for (int64_t r = 0; r < R; ++r) {
      N* const sum = out.data() + (R + r) * C;
      N total = 0, squares = 0;
      for (int64_t c = 0; c < C; ++c) total += sum[c] = in[0][r * C + c] + in[1][r * C + c];
      for (int64_t c = 0; c < C; ++c) squares += (sum[c] - total / width) * (sum[c] - total / width);
      const N rstd = 1.0 / std::sqrt(squares / width + eps);
      for (int64_t c = 0; c < C; ++c) out[r * C + c] = (sum[c] - total / width) * rstd * in[2][c] + in[3][c];
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
        b(Normal(C, 4)),
        dy(Normal(R * C, 5)),
        dsum(Normal(R * C, 6)),
        sum(Nans(R * C)),
        y(Nans(R * C)),
        mean(Nans(R)),
        rstd(Nans(R)),
        dx(Nans(R * C)),
        dw(Normal(C, 7)),
        db(Normal(C, 8)) {}
  ResidualLayerNormForward Forward() {
    return {.x = ScalarView(x, {R, C}),
            .residual = ScalarView(residual, {R, C}),
            .w = ScalarView(w, {C}),
            .b = ScalarView(b, {C}),
            .sum = ScalarView(sum, {R, C}),
            .y = ScalarView(y, {R, C}),
            .mean = View(mean, {R}),
            .rstd = View(rstd, {R})};
  }
  ResidualLayerNormBackward Backward() {
    return {.dy = ScalarView(dy, {R, C}),
            .dsum = ScalarView(dsum, {R, C}),
            .x = ScalarView(sum, {R, C}),
            .w = ScalarView(w, {C}),
            .mean = View(mean, {R}),
            .rstd = View(rstd, {R}),
            .dx = ScalarView(dx, {R, C}),
            .dw = View(dw, {C}),
            .db = View(db, {C})};
  }
  Reference reference() const { return {R, C, static_cast<double>(1e-5f)}; }
  Arrays<double> ForwardIn() const { return {Doubles(x), Doubles(residual), Doubles(w), Doubles(b)}; }
  // The gradients are those at the sum that forward left.
  Arrays<double> BackwardIn() const {
    return {Doubles(sum), std::vector<double>(R * C), Doubles(w), Doubles(b), Doubles(Joined({dy, dsum}))};
  }

  int64_t R, C;
  Floats x, residual, w, b, dy, dsum, sum, y, mean, rstd, dx, dw, db;
};

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

class ResidualLayerNorm : public testing::TestWithParam<std::tuple<int, int>> {};

TEST_P(ResidualLayerNorm, ForwardAndBackward) {
  const auto [R, C] = GetParam();
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const Values values : kAllValues) {
      Data data(R, C, values);
      const Floats dw = data.dw, db = data.db;
      RunOp(data.Forward());
      ExpectForward(data, Structured(values));
      RunOp(data.Backward());
      ExpectScalarsClose(data.dx, GradientOf(data.reference(), 0), data.BackwardIn(), C, Structured(values));
      ExpectClose(data.dw, GradientOf(data.reference(), 2, dw), data.BackwardIn(), R + C, Structured(values));
      ExpectClose(data.db, GradientOf(data.reference(), 3, db), data.BackwardIn(), R, Structured(values));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, ResidualLayerNorm,
                         testing::Values(std::tuple(1, 1), std::tuple(2, 3), std::tuple(3, 8), std::tuple(31, 1),
                                         std::tuple(17, 24), std::tuple(65, 3), std::tuple(9, 33), std::tuple(1, 257)));

TEST(ResidualLayerNormTest, LargeShape) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(130, 769);
    data.dw.assign(data.C, 0.0f);
    data.db.assign(data.C, 0.0f);
    RunOp(data.Forward());
    RunOp(data.Backward());
    ExpectForward(data);
    ExpectCloseAlong({data.dx, {}, data.dw, data.db}, data.reference(), data.BackwardIn(), data.R + data.C);
  }
}

// A mean far from 0 must not cost the digits of what stands out from it.
TEST(ResidualLayerNormTest, LargeMean) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(4, 96);
    for (float& x : data.x) x += 1000.0f;
    RunOp(data.Forward());
    ExpectForward(data);
  }
}

TEST(ResidualLayerNormTest, WithoutResidual) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(5, 7), plain(5, 7);
    std::fill(data.residual.begin(), data.residual.end(), 0.0f);
    RunOp(data.Forward());
    ResidualLayerNormForward forward = plain.Forward();
    forward.residual = forward.sum = {};
    RunOp(forward);
    EXPECT_EQ(plain.y, data.y);
    EXPECT_EQ(plain.mean, data.mean);
    EXPECT_EQ(plain.rstd, data.rstd);
    std::fill(data.dsum.begin(), data.dsum.end(), 0.0f);
    RunOp(data.Backward());
    plain.sum = plain.x;
    ResidualLayerNormBackward backward = plain.Backward();
    backward.dsum = {};
    RunOp(backward);
    EXPECT_EQ(Joined({plain.dx, plain.dw, plain.db}), Joined({data.dx, data.dw, data.db}));
  }
}

TEST(ResidualLayerNormTest, OutputsMayBeInputs) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data apart(6, 19), in_place(6, 19), in_dy(6, 19);
    RunOp(apart.Forward());
    RunOp(apart.Backward());
    ResidualLayerNormForward forward = in_place.Forward();
    forward.sum = forward.x;
    RunOp(forward);
    EXPECT_EQ(in_place.x, apart.sum);
    EXPECT_EQ(in_place.y, apart.y);
    in_place.sum = in_place.x;
    ResidualLayerNormBackward backward = in_place.Backward();
    backward.dx = backward.dsum;
    RunOp(backward);
    EXPECT_EQ(Joined({in_place.dsum, in_place.dw, in_place.db}), Joined({apart.dx, apart.dw, apart.db}));
    RunOp(in_dy.Forward());
    backward = in_dy.Backward();
    backward.dx = backward.dy;
    RunOp(backward);
    EXPECT_EQ(Joined({in_dy.dy, in_dy.dw, in_dy.db}), Joined({apart.dx, apart.dw, apart.db}));
  }
}

TEST(ResidualLayerNormTest, RoundedToFp8) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const auto& [R, C] : kFp8Shapes) {
      for (const bool with_residual : {true, false}) {
        ExpectFusedEqualsParts<E4m3>(R, C, [=, R = R, C = C](Tensor y, Fp8Matrix y8) {
          Data data(R, C);
          ResidualLayerNormForward forward = data.Forward();
          if (!with_residual) forward.residual = forward.sum = {};
          forward.y = y;
          forward.y8 = y8;
          RunOp(forward);
        });
      }
    }
  }
}

TEST(ResidualLayerNormTest, BitsDoNotDependOnThreads) {
  ExpectSameBitsForThreads([] {
    Data data(131, 257);
    RunOp(data.Forward());
    RunOp(data.Backward());
    return Joined({data.y, data.sum, data.mean, data.rstd, data.dx, data.dw, data.db});
  });
}

TEST(ResidualLayerNormTest, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    Data data(131, 257);
    RunOp(data.Forward());
    RunOp(data.Backward());
    return Joined({data.y, data.sum, data.mean, data.rstd, data.dx, data.dw, data.db});
  });
}

TEST(ResidualLayerNormDeathTest, RefusesWrongArguments) {
  Data data(2, 3);
  ResidualLayerNormForward forward = data.Forward();
  forward.y = forward.x;
  EXPECT_DEATH(RunOp(forward), "shares memory");
  forward = data.Forward();
  forward.residual = {};
  EXPECT_DEATH(RunOp(forward), "both or not at all");
  forward = data.Forward();
  forward.mean = View(data.w, {3});
  EXPECT_DEATH(RunOp(forward), "mean must be");
  forward = data.Forward();
  forward.b.ptr = nullptr;
  EXPECT_DEATH(RunOp(forward), "no memory");
  ResidualLayerNormBackward backward = data.Backward();
  backward.db = backward.dw;
  EXPECT_DEATH(RunOp(backward), "shares memory");
  backward = data.Backward();
  backward.dx = Tensor(data.dy.data() + 1, DType::kF32, {2, 3});
  EXPECT_DEATH(RunOp(backward), "overlap");
}

}  // namespace
}  // namespace ingot
