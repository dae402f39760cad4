#include "kernels/attention.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/kernels/attention_reference.h"

namespace ingot {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Documents that begin at the given positions, in every sequence.
std::vector<int32_t> Starts(int64_t B, int64_t T, const std::vector<int32_t>& begins) {
  std::vector<int32_t> starts(B * T);
  for (int64_t n = 0; n < B * T; ++n) {
    for (const int32_t begin : begins) {
      if (begin <= n % T) starts[n] = begin;
    }
  }
  return starts;
}

struct Shape {
  int64_t B, H, K, T, D;
  std::vector<int32_t> documents = {};
};

struct Data {
  explicit Data(const Shape& shape, double deviation = 1)
      : B(shape.B),
        H(shape.H),
        K(shape.K),
        T(shape.T),
        D(shape.D),
        q(Normal(B * H * T * D, 1, deviation)),
        k(Normal(B * K * T * D, 2, deviation)),
        v(Normal(B * K * T * D, 3)),
        dy(Normal(B * T * H * D, 4)),
        y(B * T * H * D, kNan),
        lse(B * H * T, kNan),
        dq(q.size(), kNan),
        dk(k.size(), kNan),
        dv(k.size(), kNan) {
    if (!shape.documents.empty()) starts = Starts(B, T, shape.documents);
  }
  Tensor StartsView() { return starts.empty() ? Tensor() : View(starts, {B, T}); }
  void Run() {
    RunOp(AttentionForward{.q = View(q, {B, H, T, D}),
                           .k = View(k, {B, K, T, D}),
                           .v = View(v, {B, K, T, D}),
                           .document_start = StartsView(),
                           .y = View(y, {B, T, H * D}),
                           .lse = View(lse, {B, H, T})});
    RunOp(AttentionBackward{.dy = View(dy, {B, T, H * D}),
                            .q = View(q, {B, H, T, D}),
                            .k = View(k, {B, K, T, D}),
                            .v = View(v, {B, K, T, D}),
                            .document_start = StartsView(),
                            .y = View(y, {B, T, H * D}),
                            .lse = View(lse, {B, H, T}),
                            .dq = View(dq, {B, H, T, D}),
                            .dk = View(dk, {B, K, T, D}),
                            .dv = View(dv, {B, K, T, D})});
  }
  Arrays<double> In() const { return {Doubles(q), Doubles(k), Doubles(v), Doubles(dy)}; }
  AttentionReference Reference() const { return {B, H, K, T, T, D, starts}; }

  int64_t B, H, K, T, D;
  Floats q, k, v, dy, y, lse, dq, dk, dv;
  std::vector<int32_t> starts;
};

void ExpectForward(const Data& data, bool structured = false) {
  AttentionReference reference = data.Reference();
  ExpectClose(data.y, reference, data.In(), data.T + data.D, structured);
  reference.lse = true;
  ExpectClose(data.lse, reference, data.In(), data.T + data.D, structured);
}

// Backward is given y and lse as forward rounded them, so the tolerance must let them move too. This is its formula in
// double, in: q, k, v, dy, y, lse; the gradient it is held against comes from the reference's forward alone.
std::vector<double> BackwardFormula(const Data& data, const Arrays<double>& in, size_t index) {
  const int64_t H = data.H, T = data.T, D = data.D;
  std::vector<double> gradient(index == 0 ? data.q.size() : data.k.size());
  for (int64_t bht = 0; bht < data.B * H * T; ++bht) {
    const int64_t t = bht % T, h = bht / T % H, b = bht / T / H, row = ((b * T + t) * H + h) * D;
    const int64_t kv = (b * data.K + h * data.K / H) * T;
    for (int64_t s = data.starts.empty() ? 0 : data.starts[b * T + t]; s <= t; ++s) {
      double score = 0, dp = 0, delta = 0;
      for (int64_t d = 0; d < D; ++d) {
        score += in[0][bht * D + d] * in[1][(kv + s) * D + d] / std::sqrt(static_cast<double>(D));
        dp += in[3][row + d] * in[2][(kv + s) * D + d];
        delta += in[3][row + d] * in[4][row + d];
      }
      const double p = std::exp(score - in[5][bht]), ds = p * (dp - delta) / std::sqrt(static_cast<double>(D));
      for (int64_t d = 0; d < D; ++d) {
        if (index == 0) gradient[bht * D + d] += ds * in[1][(kv + s) * D + d];
        if (index == 1) gradient[(kv + s) * D + d] += ds * in[0][bht * D + d];
        if (index == 2) gradient[(kv + s) * D + d] += p * in[3][row + d];
      }
    }
  }
  return gradient;
}

void ExpectGradients(const Data& data) {
  AttentionReference reference = data.Reference();
  Arrays<double> in = data.In();
  const std::vector<double> want[] = {Gradient(reference, in, 0), Gradient(reference, in, 1),
                                      Gradient(reference, in, 2)};
  in.push_back(reference(in));
  reference.lse = true;
  in.push_back(reference(in));
  const Floats* const got[] = {&data.dq, &data.dk, &data.dv};
  for (size_t index = 0; index < 3; ++index) {
    SCOPED_TRACE(std::string("gradient ") + "qkv"[index]);
    const auto formula = [&](const Arrays<double>& x) { return BackwardFormula(data, x, index); };
    ExpectWithin(*got[index], want[index], Sensitivity(formula, in), data.H / data.K * data.T + data.D);
  }
}

class Attention : public testing::TestWithParam<Shape> {};

TEST_P(Attention, ForwardAndBackward) {
  Data data(GetParam());
  data.Run();
  ExpectForward(data);
  ExpectGradients(data);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Attention,
                         testing::Values(Shape{1, 1, 1, 1, 1}, Shape{2, 2, 1, 2, 3}, Shape{1, 5, 1, 3, 8},
                                         Shape{1, 1, 1, 17, 8}, Shape{1, 2, 2, 9, 7}, Shape{1, 7, 1, 5, 4},
                                         Shape{2, 1, 1, 8, 4, {0, 3, 4}}, Shape{1, 2, 1, 10, 3, {0, 1, 9}},
                                         Shape{1, 1, 1, 6, 64}, Shape{1, 1, 1, 3, 80}));

// A document of its own for every token: each sees itself alone, so y = v and nothing flows to q and k.
TEST(AttentionTest, DocumentsOfOneToken) {
  Data data({2, 4, 2, 150, 16});
  for (int32_t n = 0; n < 300; ++n) data.starts.push_back(n % 150);
  data.Run();
  ExpectForward(data);
  for (int64_t n = 0; n < 2 * 150; ++n) {
    for (int64_t h = 0; h < 4; ++h) {
      for (int64_t d = 0; d < 16; ++d) {
        const int64_t kv = ((n / 150 * 2 + h / 2) * 150 + n % 150) * 16 + d;
        ASSERT_EQ(data.y[(n * 4 + h) * 16 + d], data.v[kv]);
        ASSERT_NEAR(data.dv[kv], data.dy[(n * 4 + h / 2 * 2) * 16 + d] + data.dy[(n * 4 + h / 2 * 2 + 1) * 16 + d],
                    1e-6);
      }
    }
  }
  for (const float gradient : data.dq) ASSERT_NEAR(gradient, 0, 1e-5);
}

// Several tiles of queries and keys, tails in both, every head width in use.
TEST(AttentionTest, SeveralTiles) {
  for (const Shape& shape :
       {Shape{1, 2, 1, 333, 64}, Shape{1, 1, 1, 600, 80}, Shape{2, 2, 2, 129, 96}, Shape{1, 5, 1, 65, 128},
        Shape{1, 2, 1, 513, 33, {0, 70, 71, 255, 400}}, Shape{2, 1, 1, 700, 8, {0, 1, 299, 699}}}) {
    SCOPED_TRACE("T = " + std::to_string(shape.T));
    Data data(shape);
    data.Run();
    ExpectForward(data);
    ExpectCloseAlong({data.dq, data.dk, data.dv}, data.Reference(), data.In(), data.T + data.D);
  }
}

// Scores of +-100 and beyond: the softmax is nearly one key, no overflow anywhere.
TEST(AttentionTest, LargeScores) {
  Data data({1, 2, 1, 17, 8}, 12);
  data.Run();
  ExpectForward(data);
  ExpectGradients(data);
}

TEST(AttentionTest, EqualValues) {
  Data data({1, 1, 1, 300, 8});
  for (Floats* x : {&data.q, &data.k, &data.v, &data.dy}) std::fill(x->begin(), x->end(), 0.5f);
  data.Run();
  ExpectForward(data, /*structured=*/true);
  for (const float y : data.y) ASSERT_NEAR(y, 0.5f, 1e-5f);
  for (const float gradient : data.dq) ASSERT_NEAR(gradient, 0, 1e-5f);
}

TEST(AttentionTest, BitsDoNotDependOnThreads) {
  for (const Shape& shape : {Shape{2, 4, 2, 300, 64}, Shape{1, 2, 1, 700, 24, {0, 100, 500}}}) {
    ExpectSameBitsForThreads([&shape] {
      Data data(shape);
      data.Run();
      Floats all = data.y;
      for (const Floats& part : {data.lse, data.dq, data.dk, data.dv}) all.insert(all.end(), part.begin(), part.end());
      return all;
    });
  }
}

}  // namespace
}  // namespace ingot
