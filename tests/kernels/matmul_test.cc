#include "kernels/matmul.h"

#include <limits>
#include <tuple>

#include "tests/kernels/references.h"

namespace ingot {
namespace {

struct Data {
  Data(int64_t R_, int64_t I_, int64_t O_)
      : R(R_), I(I_), O(O_), x(Normal(R * I, 1)), w(Normal(O * I, 2)), bias(Normal(O, 3)), dy(Normal(R * O, 4)) {
    for (int64_t r = 0; r < R; ++r) x[r * I + I - 1] = 100;  // a spike at the end of each row
    RoundScalars({&x, &w, &bias, &dy});
  }
  Floats Forward() {
    Floats y(R * O, std::numeric_limits<float>::quiet_NaN());
    RunOp(MatmulForward{.x = ScalarView(x, {R, I}),
                        .w = ScalarView(w, {O, I}),
                        .bias = ScalarView(bias, {O}),
                        .y = ScalarView(y, {R, O})});
    return y;
  }
  void Backward() {
    dx.assign(R * I, std::numeric_limits<float>::quiet_NaN());
    dw = Normal(O * I, 5);
    dbias = Normal(O, 6);
    RunOp(MatmulBackward{.dy = ScalarView(dy, {R, O}),
                         .x = ScalarView(x, {R, I}),
                         .w = ScalarView(w, {O, I}),
                         .dx = ScalarView(dx, {R, I}),
                         .dw = View(dw, {O, I}),
                         .dbias = View(dbias, {O})});
  }
  void BackwardInto(Floats& gradient_of_x) {
    Floats gradient(O * I);
    RunOp(MatmulBackward{.dy = ScalarView(dy, {R, O}),
                         .x = ScalarView(x, {R, I}),
                         .w = ScalarView(w, {O, I}),
                         .dx = ScalarView(gradient_of_x, {R, I}),
                         .dw = View(gradient, {O, I})});
  }
  Arrays<double> In() const { return {Doubles(x), Doubles(w), Doubles(bias), Doubles(dy)}; }

  int64_t R, I, O;
  Floats x, w, bias, dy, dx, dw, dbias;
};

class Matmul : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(Matmul, ForwardAndBackward) {
  const auto [R, I, O] = GetParam();
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(R, I, O);
    const LinearReference reference = {R, I, O};
    ExpectScalarsClose(data.Forward(), reference, data.In(), I);
    data.Backward();
    ExpectScalarsClose(data.dx, GradientOf(reference, 0), data.In(), O);
    ExpectClose(data.dw, GradientOf(reference, 1, Normal(data.O * data.I, 5)), data.In(), R);
    ExpectClose(data.dbias, GradientOf(reference, 2, Normal(data.O, 6)), data.In(), R);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Matmul,
                         testing::Values(std::tuple(1, 1, 1), std::tuple(1, 24, 8), std::tuple(2, 3, 33),
                                         std::tuple(3, 33, 1), std::tuple(17, 8, 24), std::tuple(33, 24, 3),
                                         std::tuple(1, 3, 257), std::tuple(129, 3, 2)));

std::vector<double> Transposed(const std::vector<double>& a, int64_t rows, int64_t columns) {
  std::vector<double> t(a.size());
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) t[j * rows + i] = a[i * columns + j];
  }
  return t;
}

// Several panels on each side. The gradients of a product are products of the transposed operands.
TEST(MatmulTest, SeveralPanels) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    const int64_t R = 270, I = 140, O = 390;
    Data data(R, I, O);
    const std::vector<double> dy = Doubles(data.dy), x = Doubles(data.x), w = Doubles(data.w);
    ExpectScalarsClose(data.Forward(), LinearReference{R, I, O}, data.In(), I);
    data.Backward();
    const std::vector<double> zeros(I);
    ExpectScalarsClose(data.dx, LinearReference{R, O, I}, {dy, Transposed(w, O, I), zeros}, O);
    const Arrays<double> dw_in = {Transposed(dy, R, O), Transposed(x, R, I), zeros};
    Floats dw(O * I, 0.0f), dbias(O, 0.0f);
    RunOp(MatmulBackward{.dy = ScalarView(data.dy, {R, O}),
                         .x = ScalarView(data.x, {R, I}),
                         .w = ScalarView(data.w, {O, I}),
                         .dw = View(dw, {O, I}),
                         .dbias = View(dbias, {O})});
    ExpectClose(dw, LinearReference{O, R, I}, dw_in, R);
    const std::vector<double> ones(R, 1), zero(1);
    ExpectClose(dbias, LinearReference{O, R, 1}, {Transposed(dy, R, O), ones, zero}, R);
  }
}

TEST(MatmulTest, WithoutOptionalArguments) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(5, 7, 9);
    data.bias.assign(9, 0.0f);
    const Floats with = data.Forward();
    Floats y(45), dw = Normal(63, 5);
    RunOp(MatmulForward{.x = ScalarView(data.x, {5, 7}), .w = ScalarView(data.w, {9, 7}), .y = ScalarView(y, {5, 9})});
    EXPECT_EQ(y, with);
    data.Backward();
    RunOp(MatmulBackward{.dy = ScalarView(data.dy, {5, 9}),
                         .x = ScalarView(data.x, {5, 7}),
                         .w = ScalarView(data.w, {9, 7}),
                         .dw = View(dw, {9, 7})});
    EXPECT_EQ(dw, data.dw);
  }
}

TEST(MatmulTest, BitsDoNotDependOnThreads) {
  for (const auto& [R, I, O] : {std::tuple(300, 500, 700), std::tuple(1, 768, 1031), std::tuple(640, 33, 130)}) {
    ExpectSameBitsForThreads([R = R, I = I, O = O] {
      Data data(R, I, O);
      Floats all = data.Forward();
      data.Backward();
      for (const Floats& part : {data.dx, data.dw, data.dbias}) all.insert(all.end(), part.begin(), part.end());
      return all;
    });
  }
}

TEST(MatmulDeathTest, RefusesWrongShapesAndSharedMemory) {
  Data data(2, 3, 4);
  Floats y(6);
  EXPECT_DEATH(RunOp(MatmulForward{
                   .x = ScalarView(data.x, {2, 3}), .w = ScalarView(data.w, {4, 3}), .y = ScalarView(y, {2, 3})}),
               "y must be");
  EXPECT_DEATH(data.BackwardInto(data.x), "shares memory with an input");
}

}  // namespace
}  // namespace ingot
