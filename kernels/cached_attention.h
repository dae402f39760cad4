#pragma once
// Attention of new tokens over a key/value cache, for generation: one sequence, N new tokens after `past` old ones.
#include "kernels/context.h"

namespace ingot {

// First appends: k_cache[k, past + n, :] = k_new[k,n,:], likewise v. Then for query n of head h, over keys
// s <= past + n of the cache:
//   S[s]     = scale * sum_d q[h,n,d] * k_cache[k,s,d]
//   y[n,h,:] = sum_s softmax(S)[s] * v_cache[k,s,:]
// All tensors are f32, or bf16 on CUDA, where heads may be up to 256 wide and several new tokens are computed as
// AttentionForward computes (kernels/attention.h).
struct CachedAttention {
  static constexpr char kName[] = "cached_attention";
  Tensor q;          // (H, N, D)
  Tensor k_new;      // (K, N, D)
  Tensor v_new;      // (K, N, D)
  Tensor k_cache;    // (K, P, D)  rows [past, past + N) are written
  Tensor v_cache;    // (K, P, D)  likewise
  Tensor y;          // (N, H * D)  =
  int64_t past = 0;  // past + N <= P
  float scale = 0;   // >= 0; 0: 1 / sqrt(D)
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
  int64_t CudaScratchBytes() const;
};

}  // namespace ingot
