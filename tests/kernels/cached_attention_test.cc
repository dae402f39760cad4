#include "kernels/cached_attention.h"

#include <cmath>
#include <tuple>
#include <vector>

#include "tests/kernels/attention_data.h"

namespace ingot {
namespace {

struct Data {
  Data(int64_t H_, int64_t K_, int64_t N_, int64_t past_, int64_t D_, int64_t P_)
      : H(H_),
        K(K_),
        N(N_),
        past(past_),
        D(D_),
        P(P_),
        q(Normal(H * N * D, 1)),
        k_new(Normal(K * N * D, 2)),
        v_new(Normal(K * N * D, 3)),
        k_cache(Normal(K * P * D, 4)),
        v_cache(Normal(K * P * D, 5)),
        y(Nans(N * H * D)) {
    // What lies behind the tokens so far must not matter.
    for (int64_t i = 0; i < K * P * D; ++i) {
      if (i / D % P >= past) k_cache[i] = v_cache[i] = std::nanf("");
    }
  }
  void Run() {
    RunOp(CachedAttention{.q = ScalarView(q, {H, N, D}),
                          .k_new = ScalarView(k_new, {K, N, D}),
                          .v_new = ScalarView(v_new, {K, N, D}),
                          .k_cache = ScalarView(k_cache, {K, P, D}),
                          .v_cache = ScalarView(v_cache, {K, P, D}),
                          .y = ScalarView(y, {N, H * D}),
                          .past = past});
  }
  // Keys or values of old and new tokens, (K, past + N, D).
  std::vector<double> Joined(const Floats& cache, const Floats& added) const {
    std::vector<double> joined;
    for (int64_t head = 0; head < K; ++head) {
      for (int64_t i = 0; i < past * D; ++i) joined.push_back(static_cast<double>(cache[head * P * D + i]));
      for (int64_t i = 0; i < N * D; ++i) joined.push_back(static_cast<double>(added[head * N * D + i]));
    }
    return joined;
  }
  Arrays<double> In() const { return {Doubles(q), Joined(k_cache, k_new), Joined(v_cache, v_new)}; }

  int64_t H, K, N, past, D, P;
  Floats q, k_new, v_new, k_cache, v_cache, y;
};

class Cached : public testing::TestWithParam<std::tuple<int, int, int, int, int>> {};

TEST_P(Cached, EqualsAttentionOverAllTokens) {
  const auto [H, K, N, past, D] = GetParam();
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Data data(H, K, N, past, D, past + N + 3);
    data.Run();
    const AttentionReference reference = {1, H, K, N, past + N, D, {}};
    const Arrays<double> in = data.In();
    ExpectWithin(data.y, reference(in), Sensitivity(reference, in), past + N + D, /*structured=*/false, ScalarUnit(),
                 N == 1 ? std::vector<double>() : RoundedProbabilities(reference, in));
    for (int64_t head = 0; head < K; ++head) {
      for (int64_t i = 0; i < N * D; ++i) {
        ASSERT_EQ(data.k_cache[(head * data.P + past) * D + i], data.k_new[head * N * D + i]);
        ASSERT_EQ(data.v_cache[(head * data.P + past) * D + i], data.v_new[head * N * D + i]);
      }
      ASSERT_TRUE(std::isnan(data.k_cache[(head * data.P + past + N) * D]));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Cached,
                         testing::Values(std::tuple(1, 1, 1, 0, 1), std::tuple(4, 2, 1, 5, 8),
                                         std::tuple(6, 3, 1, 700, 64), std::tuple(4, 2, 3, 0, 8),
                                         std::tuple(5, 1, 17, 31, 33), std::tuple(2, 2, 150, 300, 80),
                                         std::tuple(70, 1, 1, 9, 4), std::tuple(2, 1, 65, 0, 128),
                                         std::tuple(7, 1, 1, 300, 80), std::tuple(9, 1, 1, 127, 64),
                                         std::tuple(3, 3, 1, 128, 128), std::tuple(2, 1, 2, 255, 64),
                                         std::tuple(2, 1, 130, 131, 96)));

TEST(CachedAttentionTest, BitsDoNotDependOnThreads) {
  for (const int64_t N : {1, 100}) {
    ExpectSameBitsForThreads([N] {
      Data data(8, 4, N, 500, 64, 1024);
      data.Run();
      return data.y;
    });
  }
}

}  // namespace
}  // namespace ingot
