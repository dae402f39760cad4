#include "kernels/sample_token.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/checks.h"
#include "kernels/sample_order.h"

namespace ingot {
namespace {

struct Candidate {
  int32_t id;
  uint32_t order;
  uint64_t weight;
};

std::vector<Candidate> CandidatesOf(const float* logits, const SampleSettings& s) {
  std::vector<Candidate> candidates;
  uint32_t largest = 0;
  for (int64_t n = 0; n < s.N; ++n) largest = std::max(largest, OrderOf(logits[n]));
  const float max = LogitOf(largest);
  for (int64_t n = 0; n < s.N; ++n) {
    const uint32_t order = OrderOf(logits[n]);
    if (order == 0) continue;
    const float exponential = order == largest ? 1.0f : std::exp((logits[n] - max) * s.inverse_temperature);
    candidates.push_back({static_cast<int32_t>(n), order, WeightOf(exponential)});
  }
  return candidates;
}

uint64_t SumOf(const std::vector<Candidate>& candidates) {
  return std::accumulate(candidates.begin(), candidates.end(), uint64_t{0},
                         [](uint64_t sum, const Candidate& candidate) { return sum + candidate.weight; });
}

// K, then P, of the op's formula; by id again.
void KeepLikeliest(std::vector<Candidate>& candidates, const SampleSettings& s) {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.order != b.order ? a.order > b.order : a.id < b.id;
  };
  std::sort(candidates.begin(), candidates.end(), likelier);
  const auto all = static_cast<int64_t>(candidates.size());
  candidates.resize(static_cast<size_t>(s.top_k > 0 ? std::min(s.top_k, all) : all));
  if (s.top_p < 1) {
    const uint64_t target = TargetOf(s.top_p, SumOf(candidates));
    uint64_t sum = 0;
    size_t kept = 0;
    while (sum < target) sum += candidates[kept++].weight;
    candidates.resize(kept);
  }
  std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
}

}  // namespace

void SampleToken::OnCpu(Context&) const {
  CheckMemory(kName, {logits, token});
  const SampleSettings s(*this);
  std::vector<Candidate> candidates = CandidatesOf(logits.data<float>(), s);
  int32_t& drawn = *token.data<int32_t>();
  drawn = 0;
  if (candidates.empty()) return;
  if (s.top_k > 0 || s.top_p < 1) KeepLikeliest(candidates, s);
  const uint64_t draw = DrawOf(s.uniform, SumOf(candidates));
  uint64_t sum = 0;
  for (const Candidate& candidate : candidates) {
    sum += candidate.weight;
    if (draw < sum) {
      drawn = candidate.id;
      return;
    }
  }
}

}  // namespace ingot
