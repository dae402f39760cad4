// The head on 8-bit operands, against its formula in double of what they stand for.
#include <cmath>
#include <tuple>
#include <vector>

#include "kernels/lm_head_cross_entropy.h"
#include "tests/kernels/fp8_data.h"

namespace ingot {
namespace {

// A value and how far the op's may be from it: `worst` surely, and the root of `squares` times 8, the squared bounds of many
// independent roundings (Hoeffding 1963: missed with a probability of 2.5e-14).
struct Bounded {
  double value = 0, worst = 0, squares = 0, magnitudes = 0;

  // Adds factor * term, whose own error is at most `moved` surely and `rounding` by its rounding to fp8.
  void Add(double term, double factor, double moved, double rounding) {
    value += term * factor;
    worst += moved * std::fabs(factor);
    squares += rounding * rounding * factor * factor;
    magnitudes += std::fabs(term * factor);
  }
  void ExpectNear(float got, int64_t chain, double output) const {
    const double computed = worst + 8 * std::sqrt(squares) + kUnit * static_cast<double>(chain + 8) * magnitudes;
    const double tolerance = computed + output * (std::fabs(value) + computed) + 0x1p-126;
    ASSERT_LE(std::fabs(static_cast<double>(got) - value), tolerance) << got << ", not " << value;
  }
};

struct Data {
  Data(int64_t R_, int64_t C_, int64_t V_)
      : R(R_),
        C(C_),
        V(V_),
        x(Normal(R * C, 1)),
        losses(Nans(R)),
        dx(Nans(R * C)),
        dw(Normal(V * C, 3)),
        start(dw),
        targets(R),
        greedy(R, -7),
        w8(Quantized<E4m3>(Normal(V * C, 2, 0.5), V, C)) {
    for (int64_t r = 0; r < R; ++r) targets[r] = static_cast<int32_t>(Philox{3}.Below(V, 1, r));
    targets[0] = static_cast<int32_t>(V - 1);
    if (R > 2) targets[R / 2] = -1;
    RoundScalars({&x});
  }
  LmHeadCrossEntropy Op() {
    return {.x = ScalarView(x, {R, C}),
            .targets = View(targets, {R}),
            .losses = View(losses, {R}),
            .greedy = View(greedy, {R}),
            .dx = ScalarView(dx, {R, C}),
            .dw = View(dw, {V, C}),
            .w8 = w8.View(),
            .scale = 0.25f};
  }
  void Expect(double z_loss = 0) const;

  int64_t R, C, V;
  Floats x, losses, dx, dw, start;
  std::vector<int32_t> targets, greedy;
  Fp8Data<E4m3> w8;
};

// dz of all rows, and how far the op's dz before its rounding may be from it.
struct Gradients {
  std::vector<double> dz, moved;
};

// Checks the losses. A logit is off by its rounding to bf16 and by its sum, which moves p by a factor.
Gradients ExpectLosses(const Data& data, const std::vector<double>& x, const std::vector<double>& w, double z_loss) {
  const auto [R, C, V] = std::tuple(data.R, data.C, data.V);
  Gradients all = {std::vector<double>(R * V), std::vector<double>(R * V)};
  const double u = ScalarUnit() > kUnit ? ScalarUnit() : 0;
  for (int64_t r = 0; r < R; ++r) {
    std::vector<double> z(V), off(V);
    double max = -1e300, most_off = 0, sum = 0;
    for (int64_t v = 0; v < V; ++v) {
      double magnitudes = 0;
      for (int64_t c = 0; c < C; ++c) {
        z[v] += x[r * C + c] * w[v * C + c];
        magnitudes += std::fabs(x[r * C + c] * w[v * C + c]);
      }
      off[v] = u * std::fabs(z[v]) + (1 + u) * kUnit * static_cast<double>(8 + C) * magnitudes;
      max = std::max(max, z[v]);
      most_off = std::max(most_off, off[v]);
    }
    for (const double logit : z) sum += std::exp(logit - max);
    const int32_t target = data.targets[r];
    if (target < 0) {
      EXPECT_EQ(data.losses[r], 0.0f);
      continue;
    }
    const double lse = max + std::log(sum), slope = 1 + 2 * z_loss * lse;
    EXPECT_NEAR(static_cast<double>(data.losses[r]), lse - z[target],
                most_off + off[target] + kUnit * (24 + static_cast<double>(V) / 8) * (1 + std::fabs(lse)));
    for (int64_t v = 0; v < V; ++v) {
      const double p = std::exp(z[v] - max) / sum;
      const double p_moved = p * (std::expm1(off[v] + most_off) + kUnit * (24 + static_cast<double>(V) / 8));
      all.dz[r * V + v] = 0.25 * (slope * p - (v == target ? 1 : 0));
      all.moved[r * V + v] =
          0.25 * (slope * p_moved + 2 * z_loss * most_off * (p + p_moved)) + 4 * kUnit * std::fabs(all.dz[r * V + v]);
    }
  }
  return all;
}

void Data::Expect(double z_loss) const {
  const std::vector<double> x8 = Quantized<E4m3>(x, R, C).Values(), w = w8.Values();
  const Gradients all = ExpectLosses(*this, x8, w, z_loss);
  // A block's scale is less than twice the largest dz over the largest value; e5m2 rounds by an eighth, or by half of its
  // smallest value.
  constexpr int64_t kBlock = Fp8Matrix::kBlock;
  const int64_t V_blocks = Fp8Matrix::Blocks(V);
  std::vector<double> largest(Fp8Matrix::Blocks(R) * V_blocks);
  const auto block = [&](int64_t i) { return i / V / kBlock * V_blocks + i % V / kBlock; };
  for (int64_t i = 0; i < R * V; ++i) {
    largest[block(i)] = std::max(largest[block(i)], std::fabs(all.dz[i]) + all.moved[i]);
  }
  std::vector<Bounded> of_x(R * C), of_w(V * C);
  for (int64_t i = 0; i < V * C; ++i) of_w[i].Add(static_cast<double>(start[i]), 1, 0, 0);
  for (int64_t i = 0; i < R * V; ++i) {
    const int64_t r = i / V, v = i % V;
    const double rounding = 0.125 * (std::fabs(all.dz[i]) + all.moved[i]) + 2 * largest[block(i)] / 57344 * 0x1p-17;
    for (int64_t c = 0; c < C; ++c) {
      of_x[r * C + c].Add(all.dz[i], w[v * C + c], all.moved[i], rounding);
      of_w[v * C + c].Add(all.dz[i], x8[r * C + c], all.moved[i], rounding);
    }
  }
  for (int64_t i = 0; i < R * C; ++i) of_x[i].ExpectNear(dx[i], V, ScalarUnit());
  for (int64_t i = 0; i < V * C; ++i) of_w[i].ExpectNear(dw[i], R, kUnit);
}

class LmHeadFp8 : public testing::TestWithParam<std::tuple<int, int, int>> {};

// Several blocks of rows and of the vocabulary; several chunks of the CPU (512 rows) and of CUDA (4096); panels of the CPU's
// logits (512) and blocks of them (4096).
TEST_P(LmHeadFp8, LossAndGradients) {
  const auto [R, C, V] = GetParam();
  for (const Backend& backend : AllBackends()) {
    if (backend.device == Device::kCuda && (R | C | V) % 16 != 0) continue;  // see gemm_fp8.h
    const OnBackend on(backend);
    for (const double z_loss : {0.0, 0.125}) {
      if (R > 4096 && z_loss == 0) continue;  // once is enough
      Data data(R, C, V);
      LmHeadCrossEntropy op = data.Op();
      op.z_loss = static_cast<float>(z_loss);
      RunOp(op);
      data.Expect(z_loss);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, LmHeadFp8,
                         testing::Values(std::tuple(1, 1, 2), std::tuple(3, 8, 33), std::tuple(16, 16, 16),
                                         std::tuple(144, 16, 272), std::tuple(530, 24, 1031), std::tuple(528, 16, 1040),
                                         std::tuple(16, 16, 4624), std::tuple(4112, 16, 32)));

TEST(LmHeadFp8Test, LossOnlyAndGreedy) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(32, 16, 1040), same(32, 16, 1040);
    RunOp(data.Op());
    LmHeadCrossEntropy op = same.Op();
    op.dx = op.dw = op.w8.columns = {};
    RunOp(op);
    EXPECT_EQ(data.losses, same.losses);
    EXPECT_EQ(data.greedy, same.greedy);
    const std::vector<double> x = Quantized<E4m3>(data.x, 32, 16).Values(), w = data.w8.Values();
    for (int64_t r = 0; r < 32; ++r) {
      double best = -1e300, chosen = 0;
      for (int64_t v = 0; v < 1040; ++v) {
        double z = 0;
        for (int64_t c = 0; c < 16; ++c) z += x[r * 16 + c] * w[v * 16 + c];
        best = std::max(best, z);
        if (v == data.greedy[r]) chosen = z;
      }
      EXPECT_GE(chosen, best - 2 * (ScalarUnit() + 16 * kUnit) * std::fabs(best));
    }
  }
}

TEST(LmHeadFp8Test, AllTargetsIgnored) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(16, 16, 80);
    std::fill(data.targets.begin(), data.targets.end(), -1);
    RunOp(data.Op());
    EXPECT_EQ(data.losses, Floats(16, 0.0f));
    EXPECT_EQ(data.dx, Floats(16 * 16, 0.0f));
    EXPECT_EQ(data.dw, data.start);
  }
}

TEST(LmHeadFp8Test, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    Data data(16, 16, 400);
    RunOp(data.Op());
    return Joined({data.losses, data.dx, data.dw});
  });
}

TEST(LmHeadFp8Test, BitsDoNotDependOnThreads) {
  ExpectSameBitsForThreads([] {
    Data data(600, 33, 5000);
    RunOp(data.Op());
    return Joined({data.losses, data.dx, data.dw});
  });
}

TEST(LmHeadFp8DeathTest, RefusesWrongArguments) {
  Data data(2, 3, 4);
  Floats w(12);
  LmHeadCrossEntropy op = data.Op();
  op.w = View(w, {4, 3});
  EXPECT_DEATH(RunOp(op), "takes w or w8");
  op = data.Op();
  op.w8 = {};
  EXPECT_DEATH(op.Check(), "takes w or w8");
  op = data.Op();
  op.w8.columns = {};
  EXPECT_DEATH(RunOp(op), "reads the rows of w8 and, for dx, its columns");
  op = data.Op();
  op.x = Tensor(data.x.data(), DType::kF32, {2, 2});
  EXPECT_DEATH(RunOp(op), "must be \\(4, 2\\)");
}

}  // namespace
}  // namespace ingot
