#include "kernels/adamw.h"

#include <xmmintrin.h>

#include <cmath>

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

// in: w, gradient, m, v. Out: w, m and v after the step.
struct Reference {
  AdamW op;
  std::vector<double> operator()(const Arrays<double>& in) const {
    const auto wide = [](float x) { return static_cast<double>(x); };
    const double beta1 = wide(op.beta1), beta2 = wide(op.beta2), rate = wide(op.learning_rate);
    const double t = static_cast<double>(op.step);
    const size_t N = in[0].size();
    std::vector<double> out(3 * N);
    for (size_t n = 0; n < N; ++n) {
      const double g = wide(op.gradient_scale) * in[1][n];
      const double m = out[N + n] = beta1 * in[2][n] + (1 - beta1) * g;
      const double v = out[2 * N + n] = beta2 * in[3][n] + (1 - beta2) * g * g;
      const double root = std::sqrt(v / (1 - std::pow(beta2, t)));
      out[n] =
          in[0][n] * (1 - rate * wide(op.weight_decay)) - rate * (m / (1 - std::pow(beta1, t))) / (root + wide(op.eps));
    }
    return out;
  }
};

struct Data {
  explicit Data(int64_t N_) : N(N_), w(Normal(N, 1)), gradient(Normal(N, 2)), m(Normal(N, 3)), v(Normal(N, 4)) {
    for (float& element : v) element *= element;
  }
  AdamW Op(int64_t step = 1) {
    return {.w = View(w, {N}),
            .gradient = View(gradient, {N}),
            .m = View(m, {N}),
            .v = View(v, {N}),
            .step = step,
            .learning_rate = 3e-3f,
            .beta1 = 0.9f,
            .beta2 = 0.95f,
            .eps = 1e-8f,
            .weight_decay = 0.1f,
            .gradient_scale = 0.25f};
  }
  Arrays<double> In() const { return {Doubles(w), Doubles(gradient), Doubles(m), Doubles(v)}; }
  int64_t N;
  Floats w, gradient, m, v;
};

TEST(AdamWTest, OneStep) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t N : {1, 7, 8, 33, 1031, 40000}) {
      for (const int64_t step : {1, 2, 10, 1000, 1000000}) {
        Data data(N);
        const Arrays<double> in = data.In();
        RunOp(data.Op(step));
        ExpectClose(Joined({data.w, data.m, data.v}), Reference{data.Op(step)}, in, 2);
      }
    }
  }
}

// From nothing, the first step of Adam moves every weight by the learning rate against the sign of its gradient.
TEST(AdamWTest, TheFirstStepIsTheSign) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(100);
    data.m.assign(100, 0.0f);
    data.v.assign(100, 0.0f);
    const Floats before = data.w;
    AdamW op = data.Op();
    op.weight_decay = 0;
    RunOp(op);
    for (int64_t n = 0; n < 100; ++n) {
      EXPECT_NEAR(data.w[n], before[n] - std::copysign(3e-3f, data.gradient[n]), 1e-6f);
    }
  }
}

TEST(AdamWTest, DecayAloneWithoutGradient) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(50);
    data.gradient.assign(50, 0.0f);
    data.m.assign(50, 0.0f);
    data.v.assign(50, 0.0f);
    const Floats before = data.w;
    RunOp(data.Op());
    for (int64_t n = 0; n < 50; ++n) EXPECT_FLOAT_EQ(data.w[n], before[n] * (1 - 3e-4f));
  }
}

// Squares below and above fp32, with denormals flushed as in a run and without.
TEST(AdamWTest, MakesNoNan) {
  constexpr unsigned kFlush = 0x8040;
  for (const unsigned flush : {0u, kFlush}) {
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | flush);
    Data data(24);
    for (int64_t n = 0; n < 24; ++n) {
      data.gradient[n] = std::ldexp(n % 2 == 0 ? 1.0f : -1.0f, static_cast<int>(n) * 10 - 120);
      data.m[n] = data.v[n] = 0;
    }
    for (int64_t step = 1; step < 20; ++step) RunOp(data.Op(step));
    _mm_setcsr(before);
    for (const float w : data.w) EXPECT_TRUE(std::isfinite(w));
    for (const float m : data.m) EXPECT_TRUE(std::isfinite(m));
  }
}

TEST(AdamWTest, CopiesTheNewWeightsInBf16) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t N : {1, 8, 33, 1031}) {
      Data data(N), plain(N);
      Floats copy = Nans(N);
      AdamW op = data.Op();
      op.w_bf16 = Bf16View(copy, {N});
      RunOp(op);
      RunOp(plain.Op());
      EXPECT_EQ(Joined({data.w, data.m, data.v}), Joined({plain.w, plain.m, plain.v}));
      for (int64_t n = 0; n < N; ++n) EXPECT_EQ(copy[n], ToFloat(ToBf16(data.w[n])));
    }
  }
}

// The same step with bf16 moments, and what it must give: the f32 step from the same start, its moments rounded by the
// random bits of each element.
struct Bf16Moments {
  explicit Bf16Moments(int64_t N, int64_t first = 0) : data(N), first_element(first) {}
  AdamW Op(int64_t step) {
    AdamW op = data.Op(step);
    op.m = Bf16View(data.m, {data.N});
    op.v = Bf16View(data.v, {data.N});
    op.rounding_seed = 11;
    op.first_element = first_element;
    return op;
  }
  // Elements [begin, end) of w, m and v after a step.
  Floats Expected(int64_t step, int64_t begin, int64_t end) const {
    Data plain = data;
    RunOp(plain.Op(step));
    for (int64_t n = 0; n < data.N; ++n) {
      const uint64_t e = static_cast<uint64_t>(first_element + n);
      const uint32_t word = Philox{11}.Bits(static_cast<uint64_t>(step), e / 4)[e % 4];
      plain.m[n] = ToFloat(ToBf16Stochastic(plain.m[n], word % 65536));
      plain.v[n] = ToFloat(ToBf16Stochastic(plain.v[n], word / 65536));
    }
    return Part(plain, begin, end);
  }
  static Floats Part(const Data& data, int64_t begin, int64_t end) {
    const auto part = [&](const Floats& x) { return Floats(x.begin() + begin, x.begin() + end); };
    return Joined({part(data.w), part(data.m), part(data.v)});
  }
  Data data;
  int64_t first_element;
};

TEST(AdamWTest, Bf16MomentsAreTheF32OnesRoundedStochastically) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t N : {1, 7, 8, 33, 1031, 40000}) {
      Bf16Moments run(N, 4 * N);
      const AdamW op = run.Op(3);
      const Floats expected = run.Expected(3, 0, N);
      RunOp(op);
      EXPECT_EQ(Bf16Moments::Part(run.data, 0, N), expected) << N;
    }
  }
}

// A rank that owns a part of the parameters rounds it as a rank that owns all of them.
TEST(AdamWTest, Bf16MomentsDoNotDependOnTheCut) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Bf16Moments whole(1031), part(1031, 0);
    part.data = whole.data;
    RunOp(whole.Op(5));
    AdamW op = part.Op(5);
    for (Tensor* t : {&op.w, &op.gradient}) *t = Slice(*t, 20, {1011});
    Floats m(part.data.m.begin() + 20, part.data.m.end()), v(part.data.v.begin() + 20, part.data.v.end());
    op.m = Bf16View(m, {1011}), op.v = Bf16View(v, {1011});
    op.first_element = 20;
    RunOp(op);
    const Floats w(part.data.w.begin() + 20, part.data.w.end());
    EXPECT_EQ(Joined({w, m, v}), Bf16Moments::Part(whole.data, 20, 1031));
  }
}

// Rounding to nearest would leave v where it is for ever: each step moves it by 1/1000, a bf16 holds 1/256.
TEST(AdamWTest, Bf16MomentsFollowSlowAverages) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    constexpr int64_t kElements = 1024, kSteps = 500;
    Bf16Moments run(kElements);
    run.data.gradient.assign(kElements, 4.0f);  // scaled by 0.25
    run.data.v.assign(kElements, 0.5f);
    for (int64_t step = 1; step <= kSteps; ++step) {
      AdamW op = run.Op(step);
      op.beta2 = 0.999f;
      RunOp(op);
    }
    double mean = 0;
    for (const float v : run.data.v) mean += static_cast<double>(v) / kElements;
    // A step rounds by at most one ulp of [0.5, 1), 2^-8: its variance is at most 2^-18, and errors of steps and elements
    // are independent. Six deviations.
    const double deviation = std::sqrt(kSteps * 0x1p-18 / kElements);
    EXPECT_NEAR(mean, 1 - 0.5 * std::pow(0.999, kSteps), 6 * deviation);
  }
}

TEST(AdamWTest, BitsDoNotDependOnThreads) {
  ExpectSameBitsForThreads([] {
    Data data(50001);
    for (int64_t step = 1; step < 4; ++step) RunOp(data.Op(step));
    Bf16Moments rounded(50001);
    for (int64_t step = 1; step < 4; ++step) RunOp(rounded.Op(step));
    return Joined({data.w, data.m, data.v, Bf16Moments::Part(rounded.data, 0, 50001)});
  });
}

TEST(AdamWTest, BitsDoNotDependOnSchedules) {
  ExpectSameBitsForSchedules([] {
    Data data(50001);
    for (int64_t step = 1; step < 4; ++step) RunOp(data.Op(step));
    Bf16Moments small(5001);
    RunOp(small.Op(1));
    return Joined({data.w, data.m, data.v, Bf16Moments::Part(small.data, 0, 5001)});
  });
}

TEST(AdamWDeathTest, RefusesWrongArguments) {
  Data data(8);
  EXPECT_DEATH(RunOp(data.Op(0)), "count from 1");
  AdamW op = data.Op();
  op.eps = 0;
  EXPECT_DEATH(RunOp(op), "eps");
  op = data.Op();
  op.beta2 = 1;
  EXPECT_DEATH(RunOp(op), "betas");
  op = data.Op();
  op.v = op.m;
  EXPECT_DEATH(RunOp(op), "shares memory");
  op = data.Op();
  op.gradient.ptr = nullptr;
  EXPECT_DEATH(RunOp(op), "no memory");
  op = data.Op();
  op.m = Tensor(data.m.data(), DType::kF32, {7});
  EXPECT_DEATH(RunOp(op), "m must be");
  op = data.Op();
  op.m = Bf16View(data.m, {8});
  EXPECT_DEATH(RunOp(op), "one tensor is bf16, another f32");
  op = data.Op();
  op.first_element = 6;
  EXPECT_DEATH(RunOp(op), "first of four");
}

}  // namespace
}  // namespace ingot
