#pragma once
// Splits the joint projection into heads, with QK-norm (Qwen3: RMSNorm of each query and key head over its width) and
// rotary positions (RoPE, Su et al. 2021, arXiv:2104.09864; Hugging Face's rotate-half pairing) where asked for.
#include "kernels/context.h"

namespace ingot {

// Row (b,t) of qkv holds H query heads, then K key heads, then K value heads, each D wide. For a query or key head u:
//   n[d]       = u[d] * rsqrt(mean_d(u[d]^2) + eps) * norm[d]                  (with QK-norm; else n = u)
//   a, b       = n[j], n[j + D/2]   for j < D/2
//   out[j]     = a * cos - b * sin,   out[j + D/2] = b * cos + a * sin         (with angles; else out = n)
//   cos, sin   = angles[positions[b,t], j, 0], angles[positions[b,t], j, 1]
// Value heads are copied.
struct QkvRopeForward {
  static constexpr char kName[] = "qkv_rope_forward";
  Tensor qkv;             // (B, T, (H + 2K) * D)
  Tensor q_norm = {};     // (D)  both norms or none
  Tensor k_norm = {};     // (D)
  Tensor angles = {};     // (P, D/2, 2)  cosine and sine
  Tensor positions = {};  // (B, T) i32, each in [0, P); needed with angles
  Tensor q;               // (B, H, T, D)  =
  Tensor k;               // (B, K, T, D)  =
  Tensor v;               // (B, K, T, D)  =
  float eps = 1e-6f;
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

// The rotation is orthogonal, so its backward is the rotation by minus the angle; the norm's backward is RMSNorm's,
// with rstd computed again from qkv.
struct QkvRopeBackward {
  static constexpr char kName[] = "qkv_rope_backward";
  Tensor dq;              // (B, H, T, D)
  Tensor dk;              // (B, K, T, D)
  Tensor dv;              // (B, K, T, D)
  Tensor qkv = {};        // (B, T, (H + 2K) * D)  needed with norms only
  Tensor q_norm = {};     // (D)
  Tensor k_norm = {};     // (D)
  Tensor angles = {};     // (P, D/2, 2)
  Tensor positions = {};  // (B, T) i32
  Tensor dqkv;            // (B, T, (H + 2K) * D)  =   may be qkv itself
  Tensor dq_norm = {};    // (D)  +=
  Tensor dk_norm = {};    // (D)  +=
  float eps = 1e-6f;
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t ScratchBytes() const;
  int64_t CudaScratchBytes() const;
};

}  // namespace ingot
