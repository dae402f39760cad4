#pragma once
// What the kernels of attention are told. Training and the KV cache's prompts share the forward kernels: a sequence's
// keys are `past` old ones and as many new ones as there are queries.
#include <cmath>
#include <cstdint>

#include "core/base/bf16.h"
#include "core/base/tensor.h"
#include "kernels/context.h"

namespace ingot {

template <typename Scalar>
struct AttentionForwardArgs {
  const Scalar* q;        // (B, H, N, D)
  const Scalar* k;        // (B, K, past + N, D), heads kv_stride elements apart
  const Scalar* v;        // likewise
  const int32_t* starts;  // (B, past + N), or null
  Scalar* y;              // (B, N, H * D)
  float* lse;             // (B, H, N), or null
  int B, H, K, N, D, past;
  int64_t kv_stride;
  float scale;
};

// Of query n of a head, padded to whole tiles: what backward must know of a row.
struct alignas(16) AttentionRow {
  float lse_log2;  // lse / ln 2; +infinity behind the last query, so that its probabilities are 0
  float delta;     // sum_d dy * y
  int32_t start;   // document_start; the largest integer behind the last query
  int32_t unused;
};

template <typename Scalar>
struct AttentionBackwardArgs {
  const Scalar *dy, *q, *k, *v;
  const int32_t* starts;     // (B, T), or null
  const AttentionRow* rows;  // (B, H, padded T)
  Scalar *dq, *dk, *dv;
  int B, H, K, T, D, padded_T;
  float scale;
};

constexpr int32_t kNoStart = 0x7FFFFFFF;
constexpr float kLog2E = 1.4426950408889634f;
constexpr float kLn2 = 0.6931471805599453f;

inline float AttentionScale(float scale, int64_t D) {
  return scale != 0 ? scale : 1 / std::sqrt(static_cast<float>(D));
}

// Widths of heads that have tensor-core kernels.
constexpr bool IsTileWidth(int64_t D) { return D == 64 || D == 80 || D == 96 || D == 128; }

// attention_forward.cu: any Scalar and D, by whichever of its kernels fits.
void RunAttentionForward(const AttentionForwardArgs<float>& args, Context& ctx);
void RunAttentionForward(const AttentionForwardArgs<Bf16>& args, Context& ctx);

// attention_plain.cu: fp32 arithmetic without tensor cores, D <= kMaxPlainWidth.
constexpr int kMaxPlainWidth = 256;
template <typename Scalar>
void RunPlainAttentionForward(const AttentionForwardArgs<Scalar>& args, Context& ctx);
template <typename Scalar>
void RunPlainAttentionBackward(const AttentionBackwardArgs<Scalar>& args, Context& ctx);

}  // namespace ingot
