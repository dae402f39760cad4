#pragma once
// What the gradients of attention are, and how far a backward that was given rounded values may be from them.
#include <cmath>
#include <vector>

#include "tests/kernels/attention_data.h"

namespace ingot {

// What values that were stored in bf16 on the way add to a gradient: y, and on tensor cores P and dS.
struct AttentionRoundings {
  double y = 0, products = 0;
};

// Backward is given y and lse as forward rounded them, so the tolerance must let them move too. This is its formula in
// double, in: q, k, v, dy, y, lse, out: dq, dk, dv joined. With `roundings` it gives the bound of what they change.
inline std::vector<double> BackwardFormula(const AttentionData& data, const Arrays<double>& in,
                                           const AttentionRoundings* roundings = nullptr) {
  const int64_t H = data.H, T = data.T, D = data.D, dk = data.q.size(), dv = dk + data.k.size();
  const double scale = 1 / std::sqrt(static_cast<double>(D));
  const auto magnitude = [&](double x) { return roundings == nullptr ? x : std::fabs(x); };
  std::vector<double> gradient(dv + data.k.size());
  for (int64_t bht = 0; bht < data.B * H * T; ++bht) {
    const int64_t t = bht % T, h = bht / T % H, b = bht / T / H, row = ((b * T + t) * H + h) * D;
    const int64_t kv = (b * data.K + h * data.K / H) * T;
    double delta = 0, terms = 0;
    for (int64_t d = 0; d < D; ++d) {
      delta += in[3][row + d] * in[4][row + d];
      terms += std::fabs(in[3][row + d] * in[4][row + d]);
    }
    for (int64_t s = data.starts.empty() ? 0 : data.starts[b * T + t]; s <= t; ++s) {
      double score = 0, dp = 0;
      for (int64_t d = 0; d < D; ++d) {
        score += in[0][bht * D + d] * in[1][(kv + s) * D + d];
        dp += in[3][row + d] * in[2][(kv + s) * D + d];
      }
      double p = std::exp(score * scale - in[5][bht]), ds = p * (dp - delta);
      if (roundings != nullptr) {
        ds = roundings->products * std::fabs(ds) + roundings->y * p * terms;
        p *= roundings->products;
      }
      for (int64_t d = 0; d < D; ++d) {
        gradient[bht * D + d] += scale * ds * magnitude(in[1][(kv + s) * D + d]);
        gradient[dk + (kv + s) * D + d] += scale * ds * magnitude(in[0][bht * D + d]);
        gradient[dv + (kv + s) * D + d] += p * magnitude(in[3][row + d]);
      }
    }
  }
  return gradient;
}

// in: q, k, v, dy, and what forward should have made of them.
inline Arrays<double> BackwardIn(const AttentionData& data) {
  AttentionReference reference = data.Reference();
  Arrays<double> in = data.In();
  in.push_back(reference(in));
  reference.lse = true;
  in.push_back(reference(in));
  return in;
}

// `want`: dq, dk, dv joined.
inline void ExpectGradients(const AttentionData& data, const std::vector<double>& want) {
  const Arrays<double> in = BackwardIn(data);
  const auto formula = [&](const Arrays<double>& x) { return BackwardFormula(data, x); };
  const bool bf16 = CurrentBackend().scalar == DType::kBf16;
  const AttentionRoundings roundings = {.y = bf16 ? 0x1p-8 : 0, .products = RoundsProbabilities(data.D) ? 0x1p-8 : 0};
  ExpectWithin(Joined({data.dq, data.dk, data.dv}), want, Sensitivity(formula, in), data.H / data.K * data.T + data.D,
               /*structured=*/false, ScalarUnit(), BackwardFormula(data, in, &roundings));
}

// By the complex step through the reference's forward.
inline std::vector<double> Gradients(const AttentionData& data) {
  std::vector<double> all;
  for (const size_t index : {0, 1, 2}) {
    const std::vector<double> gradient = Gradient(data.Reference(), data.In(), index);
    all.insert(all.end(), gradient.begin(), gradient.end());
  }
  return all;
}

}  // namespace ingot
