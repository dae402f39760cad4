#include "kernels/embedding.h"

#include <cmath>
#include <tuple>

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

// in: table (V, C), position_table (P, C)
struct Reference {
  int64_t C;
  std::vector<int32_t> tokens, positions;
  template <typename N>
  std::vector<N> operator()(const Arrays<N>& in) const {
    std::vector<N> y;
    for (size_t r = 0; r < tokens.size(); ++r) {
      for (int64_t c = 0; c < C; ++c) y.push_back(in[0][tokens[r] * C + c] + in[1][positions[r] * C + c]);
    }
    return y;
  }
};

struct Data {
  Data(int64_t R_, int64_t C_, int64_t V_)
      : R(R_),
        C(C_),
        V(V_),
        P(R / 2 + 1),
        table(Normal(V * C, 1)),
        position_table(Normal(P * C, 2)),
        y(Nans(R * C)),
        dy(Normal(R * C, 3)),
        dtable(Normal(V * C, 4)),
        dposition_table(Normal(P * C, 5)),
        tokens(R),
        positions(R) {
    for (int64_t r = 0; r < R; ++r) {
      tokens[r] = static_cast<int32_t>(r % 3 == 0 ? V - 1 : Philox{5}.Below(V, 1, r));  // one token is common
      positions[r] = static_cast<int32_t>(r % P);
    }
  }
  EmbeddingForward Forward() {
    return {.tokens = View(tokens, {R}),
            .table = ScalarView(table, {V, C}),
            .positions = View(positions, {R}),
            .position_table = ScalarView(position_table, {P, C}),
            .y = ScalarView(y, {R, C})};
  }
  EmbeddingBackward Backward() {
    return {.dy = ScalarView(dy, {R, C}),
            .tokens = View(tokens, {R}),
            .dtable = View(dtable, {V, C}),
            .positions = View(positions, {R}),
            .dposition_table = View(dposition_table, {P, C})};
  }
  Reference reference() const { return {C, tokens, positions}; }
  Arrays<double> In() const { return {Doubles(table), Doubles(position_table), Doubles(dy)}; }
  int64_t R, C, V, P;
  Floats table, position_table, y, dy, dtable, dposition_table;
  std::vector<int32_t> tokens, positions;
};

class Embedding : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(Embedding, ForwardAndBackward) {
  const auto [R, C, V] = GetParam();
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(R, C, V);
    const Floats dtable = data.dtable, dposition_table = data.dposition_table;
    RunOp(data.Forward());
    ExpectScalarsClose(data.y, data.reference(), data.In(), 1);
    RunOp(data.Backward());
    ExpectClose(data.dtable, GradientOf(data.reference(), 0, dtable), data.In(), R);
    ExpectClose(data.dposition_table, GradientOf(data.reference(), 1, dposition_table), data.In(), R);
  }
}

// A device cannot stop the process for a token that is not in the table; it must not read beyond it either.
TEST(EmbeddingTest, BadTokenOnADeviceMakesItsRowNan) {
  for (const Backend& backend : CudaBackends()) {
    const OnBackend on(backend);
    for (const int32_t bad : {-1, 7}) {
      Data data(3, 8, 7);
      data.tokens[1] = bad;
      RunOp(data.Forward());
      for (int64_t r = 0; r < 3; ++r) {
        for (int64_t c = 0; c < 8; ++c) EXPECT_EQ(std::isnan(data.y[r * 8 + c]), r == 1);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Embedding,
                         testing::Values(std::tuple(1, 1, 2), std::tuple(2, 3, 5), std::tuple(33, 3, 17),
                                         std::tuple(17, 33, 2), std::tuple(65, 1, 257), std::tuple(3, 80, 7)));

TEST(EmbeddingTest, LargeShapeAlongADirection) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(700, 136, 1031);
    data.dtable.assign(data.dtable.size(), 0.0f);
    data.dposition_table.assign(data.dposition_table.size(), 0.0f);
    RunOp(data.Backward());
    ExpectCloseAlong({data.dtable, data.dposition_table}, data.reference(), data.In(), 700, {});
  }
}

TEST(EmbeddingTest, WithoutPositions) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(9, 5, 11), plain(9, 5, 11);
    std::fill(data.position_table.begin(), data.position_table.end(), 0.0f);
    RunOp(data.Forward());
    RunOp(data.Backward());
    EmbeddingForward forward = plain.Forward();
    forward.positions = forward.position_table = {};
    RunOp(forward);
    EmbeddingBackward backward = plain.Backward();
    backward.positions = backward.dposition_table = {};
    RunOp(backward);
    EXPECT_EQ(plain.y, data.y);
    EXPECT_EQ(plain.dtable, data.dtable);
  }
}

TEST(EmbeddingTest, BitsDoNotDependOnThreads) {
  ExpectSameBitsForThreads([] {
    Data data(600, 97, 50);
    RunOp(data.Forward());
    RunOp(data.Backward());
    return Joined({data.y, data.dtable, data.dposition_table});
  });
}

TEST(EmbeddingTest, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    Data data(600, 97, 50);
    RunOp(data.Forward());
    RunOp(data.Backward());
    return Joined({data.y, data.dtable, data.dposition_table});
  });
}

TEST(EmbeddingDeathTest, RefusesWrongArguments) {
  Data data(4, 3, 5);
  EmbeddingForward forward = data.Forward();
  forward.positions = {};
  EXPECT_DEATH(RunOp(forward), "needs positions");
  forward = data.Forward();
  forward.tokens.dtype = DType::kF32;
  EXPECT_DEATH(RunOp(forward), "tokens must be i32");
  forward = data.Forward();
  forward.table.ptr = nullptr;
  EXPECT_DEATH(RunOp(forward), "no memory");
  EmbeddingBackward backward = data.Backward();
  backward.dy = Tensor(data.dtable.data(), DType::kF32, {4, 3});
  EXPECT_DEATH(RunOp(backward), "shares memory");
  data.tokens[2] = 5;
  EXPECT_DEATH(RunOp(data.Forward()), "must lie in \\[0, 5\\)");
  data.tokens[2] = -1;
  EXPECT_DEATH(RunOp(data.Backward()), "must lie in \\[0, 5\\)");
}

}  // namespace
}  // namespace ingot
