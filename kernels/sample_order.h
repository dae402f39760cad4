#pragma once
// What both bodies of kernels/sample_token.h compute alike. constexpr, so that kernels can call it.
#include <bit>
#include <cstdint>

#include "kernels/sample_token.h"

namespace ingot {

// Larger for larger logits; 0 for what is not a number, and for nothing else.
constexpr uint32_t OrderOf(float logit) {
  const uint32_t bits = std::bit_cast<uint32_t>(logit);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return 0;
  return bits >> 31 == 0 ? bits | 0x80000000u : ~bits;
}
constexpr float LogitOf(uint32_t order) {
  return std::bit_cast<float>(order >> 31 == 0 ? ~order : order & 0x7FFFFFFFu);
}

// Of exponential = exp((logit - max) / temperature).
constexpr uint64_t WeightOf(float exponential) {
  return exponential > 0 ? static_cast<uint64_t>(exponential * 0x1p40f) : 0;  // 0 for what is not a number, too
}

// What a beginning must weigh to have the share p of `total`, and the weight that a uniform number falls on.
constexpr uint64_t TargetOf(double p, uint64_t total) {
  const auto target = static_cast<uint64_t>(p * static_cast<double>(total));
  return target < 1 ? 1 : target < total ? target : total;
}
constexpr uint64_t DrawOf(double uniform, uint64_t total) {
  const auto draw = static_cast<uint64_t>(uniform * static_cast<double>(total));
  return draw < total ? draw : total - 1;
}

// The first in order are those above `order`, and as many at it, by id, as `ties`.
struct OrderLimit {
  uint32_t order = 0;
  uint64_t ties = 0;
};

// The op's numbers, as the bodies need them.
struct SampleSettings {
  explicit constexpr SampleSettings(const SampleToken& op)
      : N(op.vocabulary > 0 && op.vocabulary < op.logits.dim(0) ? op.vocabulary : op.logits.dim(0)),
        top_k(op.temperature == 0 ? 1 : op.top_k),
        inverse_temperature(op.temperature == 0 ? 1.0f : static_cast<float>(1 / op.temperature)),
        uniform(op.uniform),
        top_p(op.top_p) {}
  int64_t N, top_k;
  float inverse_temperature;
  double uniform, top_p;
};

}  // namespace ingot
