#pragma once
// The draw of a next token from its logits.
#include "kernels/context.h"

namespace ingot {

// Of the ids n below `vocabulary` whose logits[n] is a number, in the order of falling logits, equal ones by id:
//   w[n]  = floor(2^40 * exp((logits[n] - max) / temperature))
//   K     = the first top_k of them, or all
//   P     = the shortest beginning of K with sum_P w >= top_p * sum_K w
//   token = the smallest id of P with sum(w of ids of P up to it) > uniform * sum_P w
// Weights are whole numbers, so that no sum has an order; a weight under 2^-40 of the largest is none. temperature 0: the
// first of them. Without any, token is 0.
struct SampleToken {
  static constexpr char kName[] = "sample_token";
  Tensor logits;           // (V)
  Tensor token;            // (1) i32  =
  double uniform = 0;      // in [0, 1)
  double temperature = 1;  // >= 0
  int64_t top_k = 0;       // 0: all
  double top_p = 1;        // in [0, 1]; 0: the likeliest
  int64_t vocabulary = 0;  // 0: V
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

}  // namespace ingot
