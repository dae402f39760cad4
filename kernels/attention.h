#pragma once
// Causal self-attention with grouped key/value heads (Vaswani et al. 2017, arXiv:1706.03762; Ainslie et al. 2023,
// arXiv:2305.13245), computed in tiles with an online softmax so that no (T, T) matrix is ever stored (Dao et al. 2022,
// arXiv:2205.14135).
#include "kernels/context.h"

namespace ingot {

// All tensors but lse (f32) and document_start have one dtype: f32, or bf16 on CUDA. There bf16 heads of width 64, 80, 96
// and 128 run on tensor cores: sums in fp32, the probabilities (and dS) rounded to bf16 for the products they enter;
// other widths, up to 256, and f32 run in plain fp32 arithmetic.

// For query head h with key/value head k = floor(h * K / H), over keys s with document_start[b,t] <= s <= t:
//   S[s]       = scale * sum_d q[b,h,t,d] * k[b,k,s,d]
//   lse[b,h,t] = log(sum_s exp(S[s]))
//   y[b,t,h,:] = sum_s exp(S[s] - lse) * v[b,k,s,:]
struct AttentionForward {
  static constexpr char kName[] = "attention_forward";
  Tensor q;                    // (B, H, T, D)
  Tensor k;                    // (B, K, T, D)
  Tensor v;                    // (B, K, T, D)
  Tensor document_start = {};  // (B, T) i32, 0 <= document_start[b,t] <= t, not falling along t; absent: 0
  Tensor y;                    // (B, T, H * D)  =
  Tensor lse;                  // (B, H, T)      =   kept for backward
  float scale = 0;             // >= 0; 0: 1 / sqrt(D)
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
};

// With P[s] = exp(S[s] - lse) and delta[b,h,t] = sum_d dy[b,t,h,d] * y[b,t,h,d]:
//   dP[s] = sum_d dy[b,t,h,d] * v[b,k,s,d]
//   dS[s] = P[s] * (dP[s] - delta)
//   dq[b,h,t,:] = scale * sum_s dS[s] * k[b,k,s,:]
//   dk[b,k,s,:] = scale * sum_{h,t} dS[s] * q[b,h,t,:]
//   dv[b,k,s,:] = sum_{h,t} P[s] * dy[b,t,h,:]
struct AttentionBackward {
  static constexpr char kName[] = "attention_backward";
  Tensor dy;                   // (B, T, H * D)
  Tensor q;                    // (B, H, T, D)
  Tensor k;                    // (B, K, T, D)
  Tensor v;                    // (B, K, T, D)
  Tensor document_start = {};  // (B, T) i32
  Tensor y;                    // (B, T, H * D)
  Tensor lse;                  // (B, H, T)
  Tensor dq;                   // (B, H, T, D)  =
  Tensor dk;                   // (B, K, T, D)  =
  Tensor dv;                   // (B, K, T, D)  =
  float scale = 0;             // >= 0; 0: 1 / sqrt(D)
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
  int64_t CudaScratchBytes() const;
};

}  // namespace ingot
