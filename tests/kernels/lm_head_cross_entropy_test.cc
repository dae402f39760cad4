#include "kernels/lm_head_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// in: x (R, C), w (V, C). Out: losses (R), with z_loss * lse^2 added.
struct Reference {
  int64_t R, C, V;
  std::vector<int32_t> targets;
  double z_loss = 0;
  template <typename N>
  std::vector<N> operator()(const Arrays<N>& in) const {
    std::vector<N> losses(R), z(V);
    for (int64_t r = 0; r < R; ++r) {
      if (targets[r] < 0) continue;
      double shift = -1e300;
      for (int64_t v = 0; v < V; ++v) {
        z[v] = 0;
        for (int64_t c = 0; c < C; ++c) z[v] += in[0][r * C + c] * in[1][v * C + c];
        shift = std::max(shift, std::real(z[v]));
      }
      N sum = 0;
      for (int64_t v = 0; v < V; ++v) sum += std::exp(z[v] - shift);
      const N lse = std::log(sum) + shift;
      losses[r] = lse - z[targets[r]] + z_loss * lse * lse;
    }
    return losses;
  }
};

struct Data {
  Data(int64_t R_, int64_t C_, int64_t V_, double deviation = 1)
      : R(R_),
        C(C_),
        V(V_),
        x(Normal(R * C, 1, deviation)),
        w(Normal(V * C, 2)),
        losses(R, kNan),
        dx(R * C, kNan),
        dw(Normal(V * C, 3)),
        targets(R),
        greedy(R, -7) {
    for (int64_t r = 0; r < R; ++r) targets[r] = static_cast<int32_t>(Philox{3}.Below(V, 1, r));
    targets[0] = static_cast<int32_t>(V - 1);
    if (R > 2) targets[R / 2] = -1;
  }
  LmHeadCrossEntropy Op() {
    return {.x = ScalarView(x, {R, C}),
            .w = ScalarView(w, {V, C}),
            .targets = View(targets, {R}),
            .losses = View(losses, {R}),
            .greedy = View(greedy, {R}),
            .dx = ScalarView(dx, {R, C}),
            .dw = View(dw, {V, C}),
            .scale = 0.25f};
  }
  void ExpectLosses() const {
    const Reference reference = {R, C, V, targets};
    ExpectClose(losses, reference, {Doubles(x), Doubles(w)}, C + 16);
  }
  // With dlosses = scale for every row; `start` is what dw held before.
  void ExpectGradients(double z_loss, const Floats& start) const {
    const Reference reference = {R, C, V, targets, z_loss};
    const Arrays<double> in = {Doubles(x), Doubles(w), std::vector<double>(R, 0.25)};
    ExpectClose(dx, GradientOf(reference, 0), in, V + C);
    ExpectClose(dw, GradientOf(reference, 1, start), in, R + C);
  }

  int64_t R, C, V;
  Floats x, w, losses, dx, dw;
  std::vector<int32_t> targets, greedy;
};

class LmHead : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(LmHead, LossAndGradients) {
  const auto [R, C, V] = GetParam();
  for (const Backend& backend : AllBackends()) {
    if (backend.scalar != DType::kF32) continue;  // below
    const OnBackend on(backend);
    for (const float z_loss : {0.0f, 0.125f}) {
      Data data(R, C, V);
      const Floats start = data.dw;
      LmHeadCrossEntropy op = data.Op();
      op.z_loss = z_loss;
      RunOp(op);
      data.ExpectLosses();
      data.ExpectGradients(static_cast<double>(z_loss), start);
    }
  }
}

// In bf16 the logits are rounded: each by up to u |z|, which moves a loss by twice that and a probability by that share
// of itself; dz is rounded once more, dx too.
TEST_P(LmHead, RoundedLogits) {
  constexpr double kU = 0x1p-8;
  const auto [R, C, V] = GetParam();
  for (const Backend& backend : CudaBackends()) {
    if (backend.scalar != DType::kBf16) continue;
    const OnBackend on(backend);
    Data data(R, C, V);
    std::fill(data.dw.begin(), data.dw.end(), 0.0f);
    RunOp(data.Op());
    const Reference reference = {R, C, V, data.targets};
    const Arrays<double> in = {Doubles(data.x), Doubles(data.w), std::vector<double>(R, 0.25)};
    double largest = 0;
    for (int64_t n = 0; n < R * V; ++n) {
      double z = 0;
      for (int64_t c = 0; c < C; ++c) z += in[0][n / V * C + c] * in[1][n % V * C + c];
      largest = std::max(largest, std::fabs(z));
    }
    const std::vector<double> losses = reference(in);
    for (int64_t r = 0; r < R; ++r) EXPECT_NEAR(data.losses[r], losses[r], 2 * kU * largest + 1e-5) << r;
    const auto expect_near = [&](const Floats& got, size_t index) {
      const std::vector<double> wanted = Gradient(reference, in, index);
      double difference = 0, size = 0;
      for (size_t i = 0; i < got.size(); ++i) {
        difference += std::pow(static_cast<double>(got[i]) - wanted[i], 2);
        size += wanted[i] * wanted[i];
      }
      EXPECT_LE(std::sqrt(difference), kU * (2 + 2 * largest) * std::sqrt(size) + 1e-6) << index;
    };
    expect_near(data.dx, 0);
    expect_near(data.dw, 1);
  }
}

TEST(LmHeadTest, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    Data data(5, 24, 1031);
    RunOp(data.Op());
    return Joined({data.losses, data.dx, data.dw});
  });
}

INSTANTIATE_TEST_SUITE_P(Shapes, LmHead,
                         testing::Values(std::tuple(1, 1, 2), std::tuple(2, 3, 8), std::tuple(3, 8, 33),
                                         std::tuple(17, 3, 24), std::tuple(5, 1, 257), std::tuple(2, 2, 600)));

TEST(LmHeadTest, SeveralPanelsAndChunks) {
  Data data(530, 24, 1031);
  RunOp(data.Op());
  data.ExpectLosses();
  // The rows of dx do not know of each other: the last one of another chunk equals itself alone.
  Data alone(1, 24, 1031);
  std::copy_n(data.x.end() - 24, 24, alone.x.begin());
  alone.targets[0] = data.targets.back();
  RunOp(alone.Op());
  const Reference reference = {1, 24, 1031, alone.targets};
  const Arrays<double> in = {Doubles(alone.x), Doubles(alone.w), {0.25}};
  const Function gradient = GradientOf(reference, 0);
  ExpectClose(alone.dx, gradient, in, 1031 + 24);
  ExpectClose(Floats(data.dx.end() - 24, data.dx.end()), gradient, in, 1031 + 24);
}

// sum_v dw[v,c] = sum_r x[r,c] * sum_v dz[r,v] = 0 without z-loss: what the softmax gives, the target takes.
TEST(LmHeadTest, GradientsOfTheVocabularyCancel) {
  Data data(1100, 8, 300);
  std::fill(data.dw.begin(), data.dw.end(), 0.0f);
  RunOp(data.Op());
  for (int64_t c = 0; c < 8; ++c) {
    double sum = 0, size = 0;
    for (int64_t v = 0; v < 300; ++v) {
      sum += static_cast<double>(data.dw[v * 8 + c]);
      size += std::fabs(static_cast<double>(data.dw[v * 8 + c]));
    }
    EXPECT_NEAR(sum, 0, 1e-5 * size);
  }
}

TEST(LmHeadTest, LossOnlyAndGreedy) {
  Data data(9, 16, 1100), same(9, 16, 1100);
  RunOp(data.Op());
  LmHeadCrossEntropy op = same.Op();
  op.dx = op.dw = {};
  RunOp(op);
  EXPECT_EQ(data.losses, same.losses);
  EXPECT_EQ(data.greedy, same.greedy);
  for (int64_t r = 0; r < 9; ++r) {
    std::vector<double> z(1100);
    for (int64_t v = 0; v < 1100; ++v) {
      for (int64_t c = 0; c < 16; ++c)
        z[v] += static_cast<double>(data.x[r * 16 + c]) * static_cast<double>(data.w[v * 16 + c]);
    }
    EXPECT_EQ(data.greedy[r], std::max_element(z.begin(), z.end()) - z.begin());
  }
}

TEST(LmHeadTest, TiesGoToTheSmallestId) {
  Data data(3, 4, 1500);
  for (int64_t v = 0; v < 1500; ++v) std::copy_n(data.w.begin(), 4, data.w.begin() + v * 4);
  RunOp(data.Op());
  EXPECT_EQ(data.greedy, std::vector<int32_t>(3, 0));
  EXPECT_NEAR(data.losses[0], std::log(1500.0f), 1e-5f);
}

TEST(LmHeadTest, AllTargetsIgnored) {
  Data data(5, 6, 70);
  std::fill(data.targets.begin(), data.targets.end(), -1);
  const Floats start = data.dw;
  RunOp(data.Op());
  EXPECT_EQ(data.losses, Floats(5, 0.0f));
  EXPECT_EQ(data.dx, Floats(30, 0.0f));
  EXPECT_EQ(data.dw, start);
}

// Logits of +-100 and beyond.
TEST(LmHeadTest, LargeLogits) {
  Data data(7, 16, 90, 30);
  const Floats start = data.dw;
  RunOp(data.Op());
  data.ExpectLosses();
  data.ExpectGradients(0, start);
}

TEST(LmHeadTest, BitsDoNotDependOnThreads) {
  for (const auto& [R, C, V] : {std::tuple(600, 33, 2000), std::tuple(100, 96, 5000)}) {
    ExpectSameBitsForThreads([R = R, C = C, V = V] {
      Data data(R, C, V);
      RunOp(data.Op());
      Floats all = data.losses;
      for (const Floats& part : {data.dx, data.dw}) all.insert(all.end(), part.begin(), part.end());
      return all;
    });
  }
}

}  // namespace
}  // namespace ingot
