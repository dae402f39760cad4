#include <algorithm>
#include <cmath>

#include "core/base/philox.h"
#include "core/model/generate.h"

namespace ingot {
namespace {

constexpr uint64_t kStream = 0x67656e6572617465;  // "generate": apart from the streams of other draws of one seed

struct Candidate {
  int32_t id;
  double weight;  // first the logit, then e^((logit - max) / temperature)
};

bool IsLikelier(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.id < b.id;
}

std::vector<Candidate> CandidatesOf(std::span<const float> logits, const SamplingOptions& options) {
  const size_t count =
      options.vocabulary > 0 ? std::min(logits.size(), static_cast<size_t>(options.vocabulary)) : logits.size();
  std::vector<Candidate> candidates;
  candidates.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    if (!std::isnan(logits[i])) candidates.push_back({static_cast<int32_t>(i), logits[i]});
  }
  return candidates;
}

void KeepTopK(std::vector<Candidate>& candidates, int64_t k) {
  if (k <= 0 || k >= static_cast<int64_t>(candidates.size())) return;
  std::nth_element(candidates.begin(), candidates.begin() + k, candidates.end(), IsLikelier);
  candidates.resize(static_cast<size_t>(k));
}

double SumOf(const std::vector<Candidate>& candidates) {
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.weight;
  return sum;
}

// The smallest set of the likeliest whose share of the weights reaches p.
void KeepTopP(std::vector<Candidate>& candidates, double p) {
  if (p >= 1) return;
  std::sort(candidates.begin(), candidates.end(), IsLikelier);
  const double wanted = p * SumOf(candidates);
  double sum = 0;
  size_t kept = 0;
  while (kept < candidates.size() && (kept == 0 || sum < wanted)) sum += candidates[kept++].weight;
  candidates.resize(kept);
}

}  // namespace

int32_t SampleToken(std::span<const float> logits, const SamplingOptions& options, int64_t draw) {
  std::vector<Candidate> candidates = CandidatesOf(logits, options);
  if (candidates.empty()) return 0;
  const Candidate best = *std::min_element(candidates.begin(), candidates.end(), IsLikelier);
  if (options.temperature <= 0) return best.id;
  KeepTopK(candidates, options.top_k);
  for (Candidate& candidate : candidates) {
    candidate.weight = std::exp((candidate.weight - best.weight) / options.temperature);
  }
  KeepTopP(candidates, options.top_p);
  const double wanted = Philox{options.seed}.Uniform(kStream, static_cast<uint64_t>(draw)) * SumOf(candidates);
  double sum = 0;
  for (const Candidate& candidate : candidates) {
    sum += candidate.weight;
    if (wanted < sum) return candidate.id;
  }
  return best.id;  // weights that are not numbers
}

}  // namespace ingot
