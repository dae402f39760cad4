#include "kernels/matmul_fp8.h"

#include <tuple>

#include "tests/kernels/fp8_data.h"
#include "tests/kernels/references.h"

namespace ingot {
namespace {

// Operands whose blocks have different scales; dy is of e5m2.
struct Data {
  Data(int64_t R_, int64_t I_, int64_t O_)
      : R(R_),
        I(I_),
        O(O_),
        x(Quantized<E4m3>(Scaled(R, I, 1), R, I)),
        w(Quantized<E4m3>(Scaled(O, I, 2), O, I)),
        dy(Quantized<E5m2>(Scaled(R, O, 3), R, O)),
        bias(Normal(O, 4)),
        dy_values(Normal(R * O, 5)) {
    RoundScalars({&bias, &dy_values});
  }
  static Floats Scaled(int64_t rows, int64_t columns, uint64_t stream) {
    Floats values = Normal(rows * columns, stream);
    for (int64_t i = 0; i < rows * columns; ++i) {
      values[i] *= static_cast<float>(1 + i / columns / Fp8Matrix::kBlock + 5 * (i % columns / Fp8Matrix::kBlock));
    }
    return values;
  }
  Floats Forward() {
    Floats y = Nans(R * O);
    RunOp(MatmulFp8Forward{.x = x.View(), .w = w.View(), .bias = ScalarView(bias, {O}), .y = ScalarView(y, {R, O})});
    return y;
  }
  MatmulFp8Backward Backward() {
    dx = Nans(R * I);
    dw = Normal(O * I, 6);
    dbias = Normal(O, 7);
    return {.dy = dy.View(),
            .x = x.View(),
            .w = w.View(),
            .dx = ScalarView(dx, {R, I}),
            .dw = View(dw, {O, I}),
            .dy_values = ScalarView(dy_values, {R, O}),
            .dbias = View(dbias, {O})};
  }
  Arrays<double> In() const { return {x.Values(), w.Values(), Doubles(bias), dy.Values()}; }
  void ExpectBackward() const {
    const LinearReference reference = {R, I, O};
    ExpectScalarsClose(dx, GradientOf(reference, 0), In(), O);
    ExpectClose(dw, GradientOf(reference, 1, Normal(O * I, 6)), In(), R);
    Arrays<double> in = In();
    in[3] = Doubles(dy_values);
    ExpectClose(dbias, GradientOf(reference, 2, Normal(O, 7)), in, R);
  }

  int64_t R, I, O;
  Fp8Data<E4m3> x, w;
  Fp8Data<E5m2> dy;
  Floats bias, dy_values, dx, dw, dbias;
};

class MatmulFp8 : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(MatmulFp8, ForwardAndBackward) {
  const auto [R, I, O] = GetParam();
  for (const Backend& backend : AllBackends()) {
    if (backend.device == Device::kCuda && (R | I | O) % 16 != 0) continue;  // see gemm_fp8.h
    const OnBackend on(backend);
    Data data(R, I, O);
    ExpectScalarsClose(data.Forward(), LinearReference{R, I, O}, data.In(), I);
    RunOp(data.Backward());
    data.ExpectBackward();
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, MatmulFp8,
                         testing::Values(std::tuple(1, 1, 1), std::tuple(16, 16, 16), std::tuple(16, 16, 48),
                                         std::tuple(16, 32, 144), std::tuple(17, 8, 24), std::tuple(3, 130, 2),
                                         std::tuple(2, 3, 131), std::tuple(129, 3, 2)));

// Several blocks along each sum, against a product of the values in double.
TEST(MatmulFp8Test, SeveralBlocksEachWay) {
  const int64_t R = 144, I = 272, O = 160;
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(R, I, O);
    ExpectScalarsClose(data.Forward(), LinearReference{R, I, O}, data.In(), I);
    RunOp(data.Backward());
    const Floats start = Normal(O * I, 6);
    const Function dx = [&](const Arrays<double>& in) {
      std::vector<double> sums(R * I);
      for (int64_t n = 0; n < R * O; ++n) {
        for (int64_t i = 0; i < I; ++i) sums[n / O * I + i] += in[0][n] * in[1][n % O * I + i];
      }
      return sums;
    };
    const Function dw = [&](const Arrays<double>& in) {
      std::vector<double> sums = Doubles(start);
      for (int64_t n = 0; n < R * O; ++n) {
        for (int64_t i = 0; i < I; ++i) sums[n % O * I + i] += in[0][n] * in[1][n / O * I + i];
      }
      return sums;
    };
    ExpectScalarsClose(data.dx, dx, {data.dy.Values(), data.w.Values()}, O);
    ExpectClose(data.dw, dw, {data.dy.Values(), data.x.Values()}, R);
  }
}

TEST(MatmulFp8Test, OnlyWhatIsRead) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(16, 32, 48);
    const Floats y = data.Forward();
    Floats lean = Nans(16 * 48);
    MatmulFp8Forward forward = {.x = data.x.View(), .w = data.w.View(), .y = ScalarView(lean, {16, 48})};
    forward.x.columns = forward.w.columns = {};
    std::fill(data.bias.begin(), data.bias.end(), 0.0f);
    const Floats unbiased = data.Forward();
    RunOp(forward);
    EXPECT_EQ(lean, unbiased);
    RunOp(data.Backward());
    const Floats dx = data.dx, dw = data.dw;
    MatmulFp8Backward backward = data.Backward();
    backward.x.rows = backward.w.rows = backward.dy_values = backward.dbias = {};
    RunOp(backward);
    EXPECT_EQ(data.dx, dx);
    EXPECT_EQ(data.dw, dw);
    backward = data.Backward();
    backward.x.rows = backward.dy.rows = backward.dx = {};
    backward.w = {};
    RunOp(backward);
    EXPECT_EQ(data.dw, dw);
  }
}

TEST(MatmulFp8Test, BitsDoNotDependOnThreads) {
  ExpectSameBitsForThreads([] {
    Data data(160, 144, 272);
    const Floats y = data.Forward();
    RunOp(data.Backward());
    return Joined({y, data.dx, data.dw, data.dbias});
  });
}

TEST(MatmulFp8Test, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    Data data(144, 16, 32);
    const Floats y = data.Forward();
    RunOp(data.Backward());
    return Joined({y, data.dx, data.dw, data.dbias});
  });
}

TEST(MatmulFp8DeathTest, RefusesWrongArguments) {
  Data data(2, 3, 4);
  Floats y(8);
  MatmulFp8Forward forward = {.x = data.x.View(), .w = data.x.View(), .y = View(y, {2, 4})};
  EXPECT_DEATH(RunOp(forward), "must be \\(4, 3\\)");
  forward.w = data.w.View();
  forward.w.rows = {};
  EXPECT_DEATH(RunOp(forward), "reads the rows");
  MatmulFp8Backward backward = data.Backward();
  backward.dy_values = {};
  EXPECT_DEATH(RunOp(backward), "dbias needs dy_values");
  backward = data.Backward();
  backward.w = {};
  EXPECT_DEATH(RunOp(backward), "dx needs the rows of dy");
  backward = data.Backward();
  backward.x.columns = {};
  EXPECT_DEATH(RunOp(backward), "reads the columns");
  backward = data.Backward();
  backward.dw.ptr = nullptr;
  EXPECT_DEATH(RunOp(backward), "no memory");
}

}  // namespace
}  // namespace ingot
