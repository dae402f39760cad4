#include "kernels/lm_head_cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

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
        losses(Nans(R)),
        dx(Nans(R * C)),
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
  Arrays<double> In() const { return {Doubles(x), Doubles(w), std::vector<double>(R, 0.25)}; }
  void ExpectLosses() const {
    const Reference reference = {R, C, V, targets};
    const Arrays<double> in = {Doubles(x), Doubles(w)};
    ExpectWithin(losses, reference(in), Sensitivity(reference, in), C + 16, /*structured=*/false, kUnit,
                 Midway(0).losses);
  }
  // With dlosses = scale for every row; `start` is what dw held before.
  void ExpectGradients(double z_loss, const Floats& start) const {
    const Reference reference = {R, C, V, targets, z_loss};
    const Bounds midway = Midway(z_loss);
    const Function of_x = GradientOf(reference, 0), of_w = GradientOf(reference, 1, start);
    ExpectWithin(dx, of_x(In()), Sensitivity(of_x, In()), V + C, false, ScalarUnit(), midway.dx);
    ExpectWithin(dw, of_w(In()), Sensitivity(of_w, In()), R + C, false, kUnit, midway.dw);
  }

  // How far values on the way may move results. In f32 it is p, by some 8 roundings, where a target's dz = p - 1 is so
  // small that neither its size nor its sensitivity shows it. In bf16 each logit is rounded besides, by u |z|, which
  // moves lse by u max|z| and p by a factor of exp of both; and then dz, by u |dz|.
  struct Bounds {
    std::vector<double> losses, dx, dw;
  };
  Bounds Midway(double z_loss) const {
    Bounds bounds = {std::vector<double>(R), std::vector<double>(R * C), std::vector<double>(V * C)};
    const double u = ScalarUnit() > kUnit ? ScalarUnit() : 0;
    for (int64_t r = 0; r < R; ++r) {
      const std::vector<double> z = Logits(r);
      double max = -1e300, largest = 0, sum = 0;
      for (const double logit : z) {
        max = std::max(max, logit);
        largest = std::max(largest, std::fabs(logit));
      }
      for (const double logit : z) sum += std::exp(logit - max);
      if (targets[r] < 0) continue;
      bounds.losses[r] = u * (largest + std::fabs(z[targets[r]]));
      const double slope = 1 + 2 * z_loss * (max + std::log(sum));
      for (int64_t v = 0; v < V; ++v) {
        const double p = std::exp(z[v] - max) / sum,
                     moved = p * (std::expm1(u * (largest + std::fabs(z[v]))) + 8 * kUnit);
        double dz = std::fabs(slope) * moved + 2 * z_loss * u * largest * (p + moved);
        dz = 0.25 * (dz + u * (dz + std::fabs(slope * p - (v == targets[r] ? 1.0 : 0.0))));
        for (int64_t c = 0; c < C; ++c) {
          bounds.dx[r * C + c] += dz * std::fabs(static_cast<double>(w[v * C + c]));
          bounds.dw[v * C + c] += dz * std::fabs(static_cast<double>(x[r * C + c]));
        }
      }
    }
    return bounds;
  }
  std::vector<double> Logits(int64_t r) const {
    std::vector<double> z(V);
    for (int64_t v = 0; v < V; ++v) {
      for (int64_t c = 0; c < C; ++c) z[v] += static_cast<double>(x[r * C + c]) * static_cast<double>(w[v * C + c]);
    }
    return z;
  }

  int64_t R, C, V;
  Floats x, w, losses, dx, dw;
  std::vector<int32_t> targets, greedy;
};

class LmHead : public testing::TestWithParam<std::tuple<int, int, int>> {};

TEST_P(LmHead, LossAndGradients) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    const auto [R, C, V] = GetParam();
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

INSTANTIATE_TEST_SUITE_P(Shapes, LmHead,
                         testing::Values(std::tuple(1, 1, 2), std::tuple(2, 3, 8), std::tuple(3, 8, 33),
                                         std::tuple(17, 3, 24), std::tuple(5, 1, 257), std::tuple(2, 2, 600)));

TEST(LmHeadTest, SeveralPanelsAndChunks) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(530, 24, 1031);
    RunOp(data.Op());
    data.ExpectLosses();
    // The rows of dx do not know of each other: the last one of another chunk equals itself alone.
    Data alone(1, 24, 1031);
    std::copy_n(data.x.end() - 24, 24, alone.x.begin());
    alone.targets[0] = data.targets.back();
    RunOp(alone.Op());
    const Function gradient = GradientOf(Reference{1, 24, 1031, alone.targets}, 0);
    const std::vector<double> want = gradient(alone.In()), moved = Sensitivity(gradient, alone.In());
    for (const Floats& dx : {alone.dx, Floats(data.dx.end() - 24, data.dx.end())}) {
      ExpectWithin(dx, want, moved, 1031 + 24, false, ScalarUnit(), alone.Midway(0).dx);
    }
  }
}

// sum_v dw[v,c] = sum_r x[r,c] * sum_v dz[r,v] = 0 without z-loss: what the softmax gives, the target takes.
TEST(LmHeadTest, GradientsOfTheVocabularyCancel) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(1100, 8, 300);
    std::fill(data.dw.begin(), data.dw.end(), 0.0f);
    RunOp(data.Op());
    for (int64_t c = 0; c < 8; ++c) {
      double sum = 0, size = 0, rounded = 0;  // of dz, in bf16: its magnitudes in a row sum to less than 2
      if (ScalarUnit() > kUnit) {
        for (int64_t r = 0; r < 1100; ++r)
          rounded += 0.25 * 2 * ScalarUnit() * std::fabs(static_cast<double>(data.x[r * 8 + c]));
      }
      for (int64_t v = 0; v < 300; ++v) {
        sum += static_cast<double>(data.dw[v * 8 + c]);
        size += std::fabs(static_cast<double>(data.dw[v * 8 + c]));
      }
      EXPECT_NEAR(sum, 0, 1e-5 * size + rounded);
    }
  }
}

TEST(LmHeadTest, LossOnlyAndGreedy) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(9, 16, 1100), same(9, 16, 1100);
    RunOp(data.Op());
    LmHeadCrossEntropy op = same.Op();
    op.dx = op.dw = {};
    RunOp(op);
    EXPECT_EQ(data.losses, same.losses);
    EXPECT_EQ(data.greedy, same.greedy);
    for (int64_t r = 0; r < 9; ++r) {
      const std::vector<double> z = data.Logits(r);
      const double best = *std::max_element(z.begin(), z.end());
      EXPECT_GE(z[data.greedy[r]], best - (ScalarUnit() > kUnit ? 2 * ScalarUnit() * std::fabs(best) : 0));
    }
  }
}

TEST(LmHeadTest, TiesGoToTheSmallestId) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(3, 4, 1500);
    for (int64_t v = 0; v < 1500; ++v) std::copy_n(data.w.begin(), 4, data.w.begin() + v * 4);
    RunOp(data.Op());
    EXPECT_EQ(data.greedy, std::vector<int32_t>(3, 0));
    EXPECT_NEAR(data.losses[0], std::log(1500.0f), 1e-5f);
  }
}

TEST(LmHeadTest, AllTargetsIgnored) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(5, 6, 70);
    std::fill(data.targets.begin(), data.targets.end(), -1);
    const Floats start = data.dw;
    RunOp(data.Op());
    EXPECT_EQ(data.losses, Floats(5, 0.0f));
    EXPECT_EQ(data.dx, Floats(30, 0.0f));
    EXPECT_EQ(data.dw, start);
  }
}

// Logits of +-100 and beyond.
TEST(LmHeadTest, LargeLogits) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(7, 16, 90, 30);
    const Floats start = data.dw;
    RunOp(data.Op());
    data.ExpectLosses();
    data.ExpectGradients(0, start);
  }
}

// More rows than one chunk of the device; every product of the gradients, as sums in double.
TEST(LmHeadTest, ManyRows) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    const int64_t R = 4101, C = 3, V = 10;
    Data data(R, C, V);
    const Floats start = data.dw;
    RunOp(data.Op());
    data.ExpectLosses();
    const Function gradients = [&](const Arrays<double>& in) {
      std::vector<double> sums(R * C + V * C);
      for (int64_t i = 0; i < V * C; ++i) sums[R * C + i] = static_cast<double>(start[i]);
      for (int64_t r = 0; r < R; ++r) {
        double sum = 0;
        std::vector<double> z(V);
        for (int64_t v = 0; v < V; ++v) {
          for (int64_t c = 0; c < C; ++c) z[v] += in[0][r * C + c] * in[1][v * C + c];
          sum += std::exp(z[v]);
        }
        for (int64_t v = 0; v < V && data.targets[r] >= 0; ++v) {
          const double dz = 0.25 * (std::exp(z[v]) / sum - (v == data.targets[r] ? 1 : 0));
          for (int64_t c = 0; c < C; ++c) {
            sums[r * C + c] += dz * in[1][v * C + c];
            sums[R * C + v * C + c] += dz * in[0][r * C + c];
          }
        }
      }
      return sums;
    };
    const Data::Bounds midway = data.Midway(0);
    std::vector<double> want = gradients(data.In()), moved = Sensitivity(gradients, data.In());
    const auto part = [](const std::vector<double>& all, int64_t begin, int64_t count) {
      return std::vector<double>(all.begin() + begin, all.begin() + begin + count);
    };
    ExpectWithin(data.dx, part(want, 0, R * C), part(moved, 0, R * C), V + C, false, ScalarUnit(), midway.dx);
    ExpectWithin(data.dw, part(want, R * C, V * C), part(moved, R * C, V * C), R + C, false, kUnit, midway.dw);
  }
}

// A row long enough for the block of 1024 threads, its length no multiple of a pack.
TEST(LmHeadTest, LongRows) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t V : {16391, 20000}) {
      Data data(3, 4, V);
      RunOp(data.Op());
      data.ExpectLosses();
      const Function gradient = GradientOf(Reference{3, 4, V, data.targets}, 0);
      ExpectWithin(data.dx, gradient(data.In()), Sensitivity(gradient, data.In()), V + 4, false, ScalarUnit(),
                   data.Midway(0).dx);
    }
  }
}

TEST(LmHeadTest, BitsDoNotDependOnSchedules) {
  for (const int64_t V : {1031, 16400}) {
    ExpectSameBitsForSchedules([V] {
      Data data(3, 8, V);
      RunOp(data.Op());
      return Joined({data.losses, data.dx, data.dw});
    });
  }
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
