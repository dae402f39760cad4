#pragma once
// The one statement of what attention is, for the tests of its training and its cached form.
#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

#include "tests/kernels/op_test.h"

namespace ingot {

// in: q (B, H, N, D), k (B, K, S, D), v (B, K, S, D). Query n stands at position S - N + n and sees keys from
// starts[b * S + position] (0 if there are none) to its position. Out: y (B, N, H * D), or lse (B, H, N).
struct AttentionReference {
  int64_t B, H, K, N, S, D;
  std::vector<int32_t> starts;
  bool lse = false;

  template <typename Number>
  std::vector<Number> operator()(const Arrays<Number>& in) const {
    std::vector<Number> y(B * N * H * D), log_sums(B * H * N);
    for (int64_t bhn = 0; bhn < B * H * N; ++bhn) {
      const int64_t n = bhn % N, h = bhn / N % H, b = bhn / N / H, position = S - N + n;
      const int64_t first = starts.empty() ? 0 : starts[b * S + position], kv = (b * K + h * K / H) * S;
      std::vector<Number> weights;
      double shift = -1e300;  // of the softmax, which does not change under it
      for (int64_t s = first; s <= position; ++s) {
        Number score = 0;
        for (int64_t d = 0; d < D; ++d) score += in[0][bhn * D + d] * in[1][(kv + s) * D + d];
        weights.push_back(score / std::sqrt(static_cast<double>(D)));
        shift = std::max(shift, std::real(weights.back()));
      }
      Number sum = 0;
      for (Number& weight : weights) sum += weight = std::exp(weight - shift);
      log_sums[bhn] = std::log(sum) + shift;
      for (int64_t s = first; s <= position; ++s) {
        for (int64_t d = 0; d < D; ++d) {
          y[((b * N + n) * H + h) * D + d] += weights[s - first] / sum * in[2][(kv + s) * D + d];
        }
      }
    }
    return lse ? log_sums : y;
  }
};

}  // namespace ingot
