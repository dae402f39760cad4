#include "kernels/attention.h"

#include <cmath>
#include <string>
#include <vector>

#include "tests/kernels/attention_gradients.h"

namespace ingot {
namespace {

using Data = AttentionData;
using Shape = AttentionShape;

class Attention : public testing::TestWithParam<Shape> {};

TEST_P(Attention, ForwardAndBackward) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(GetParam());
    data.Run();
    ExpectForward(data);
    ExpectGradients(data, Gradients(data));
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention,
                         testing::Values(Shape{1, 1, 1, 1, 1}, Shape{2, 2, 1, 2, 3}, Shape{1, 5, 1, 3, 8},
                                         Shape{1, 1, 1, 17, 8}, Shape{1, 2, 2, 9, 7}, Shape{1, 7, 1, 5, 4},
                                         Shape{2, 1, 1, 8, 4, {0, 3, 4}}, Shape{1, 2, 1, 10, 3, {0, 1, 9}},
                                         Shape{1, 1, 1, 6, 64}, Shape{1, 1, 1, 3, 80}, Shape{2, 2, 2, 1, 64},
                                         Shape{1, 2, 1, 3, 96, {0, 2}}, Shape{1, 1, 1, 2, 128}),
                         [](const auto& shape) { return shape.param.Name(); });

// The formula that the larger shapes are held against is the gradient of the reference.
TEST(AttentionTest, BackwardFormulaIsTheGradient) {
  Data data({2, 2, 1, 7, 5, {0, 2, 6}});
  const std::vector<double> formula = BackwardFormula(data, BackwardIn(data)), want = Gradients(data);
  for (size_t i = 0; i < want.size(); ++i) ASSERT_NEAR(formula[i], want[i], 1e-12) << i;
}

// Several tiles of queries and keys (the kernels' pipelines go round more than twice), tails in both, every head width
// in use, documents that end inside tiles and at their ends, groups of 1, 2, 5 and 7 heads.
class AttentionTiles : public testing::TestWithParam<Shape> {};

TEST_P(AttentionTiles, ForwardAndBackward) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(GetParam());
    data.Run();
    ExpectForward(data);
    ExpectGradients(data, BackwardFormula(data, BackwardIn(data)));
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionTiles,
                         testing::Values(Shape{1, 2, 1, 333, 64}, Shape{1, 1, 1, 257, 80}, Shape{2, 2, 2, 129, 96},
                                         Shape{1, 1, 1, 300, 128}, Shape{1, 5, 1, 65, 128}, Shape{1, 7, 1, 130, 64},
                                         Shape{1, 2, 1, 400, 64, {0, 64, 70, 71, 128, 300}},
                                         Shape{1, 2, 1, 200, 80, {0, 1, 191}}, Shape{2, 1, 1, 260, 96, {0, 130, 259}},
                                         Shape{1, 2, 1, 290, 33, {0, 70, 71, 255}},
                                         Shape{2, 1, 1, 300, 8, {0, 1, 99, 299}}, Shape{1, 1, 1, 70, 192}),
                         [](const auto& shape) { return shape.param.Name(); });

// A document of its own for every token: each sees itself alone, so y = v and nothing flows to q and k.
TEST(AttentionTest, DocumentsOfOneToken) {
  for (const Backend& backend : AllBackends()) {
    for (const int64_t D : {16, 64}) {
      const OnBackend on(backend);
      Data data({2, 4, 2, 150, D});
      for (int32_t n = 0; n < 300; ++n) data.starts.push_back(n % 150);
      data.Run();
      ExpectForward(data);
      for (int64_t i = 0; i < 2 * 150 * 4 * D; ++i) {
        const int64_t d = i % D, h = i / D % 4, n = i / D / 4, kv = ((n / 150 * 2 + h / 2) * 150 + n % 150) * D + d;
        const double left = static_cast<double>(data.dy[(n * 4 + h / 2 * 2) * D + d]);
        const double right = static_cast<double>(data.dy[(n * 4 + h / 2 * 2 + 1) * D + d]);
        ASSERT_EQ(data.y[i], data.v[kv]);
        ASSERT_NEAR(data.dv[kv], left + right, ScalarUnit() * std::fabs(left + right) + 1e-6 * std::fabs(left));
      }
      for (const float gradient : data.dq) ASSERT_NEAR(gradient, 0, 1e-4);
    }
  }
}

// Scores of +-100 and beyond: the softmax is nearly one key, no overflow anywhere.
TEST(AttentionTest, LargeScores) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const Shape& shape : {Shape{1, 2, 1, 17, 8}, Shape{1, 1, 1, 70, 64}}) {
      Data data(shape, 12);
      data.Run();
      ExpectForward(data);
      ExpectGradients(data, BackwardFormula(data, BackwardIn(data)));
    }
  }
}

TEST(AttentionTest, EqualValues) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t D : {8, 64}) {
      Data data({1, 1, 1, 300, D});
      for (Floats* x : {&data.q, &data.k, &data.v, &data.dy}) std::fill(x->begin(), x->end(), 0.5f);
      data.Run();
      ExpectForward(data, /*structured=*/true);
      // The sum of 300 terms of one sign, each and the last one rounded.
      for (const float y : data.y) ASSERT_NEAR(y, 0.5f, 0.5 * 300 * 0x1p-24 + 2 * 0.5 * ScalarUnit());
      for (const float gradient : data.dq) ASSERT_NEAR(gradient, 0, 1e-5 + static_cast<double>(D) * ScalarUnit());
    }
  }
}

TEST(AttentionTest, BitsDoNotDependOnThreads) {
  for (const Shape& shape : {Shape{2, 4, 2, 300, 64}, Shape{1, 2, 1, 700, 24, {0, 100, 500}}}) {
    ExpectSameBitsForThreads([&shape] {
      Data data(shape);
      data.Run();
      return data.Outputs();
    });
  }
}

TEST(AttentionTest, WrongArgumentsAreRefused) {
  Data data({1, 3, 2, 4, 8});
  EXPECT_DEATH(data.Run(), "3 query heads do not divide among 2 key heads");
}

}  // namespace
}  // namespace ingot
