#pragma once
// Token embedding, with learned positions where the architecture has them (GPT-2).
#include "kernels/context.h"

namespace ingot {

//   y[r,:] = table[tokens[r],:] + position_table[positions[r],:]
struct EmbeddingForward {
  static constexpr char kName[] = "embedding_forward";
  Tensor tokens;               // (R) i32, each in [0, V)
  Tensor table;                // (V, C)
  Tensor positions = {};       // (R) i32, each in [0, P); needed with position_table
  Tensor position_table = {};  // (P, C)
  Tensor y;                    // (R, C)  =
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
};

//   dtable[v,:]          += sum of dy[r,:] over r with tokens[r] = v, in ascending r
//   dposition_table[p,:] += sum of dy[r,:] over r with positions[r] = p, in ascending r
struct EmbeddingBackward {
  static constexpr char kName[] = "embedding_backward";
  Tensor dy;                    // (R, C)
  Tensor tokens;                // (R) i32
  Tensor dtable;                // (V, C)  +=
  Tensor positions = {};        // (R) i32
  Tensor dposition_table = {};  // (P, C)  +=
  void Check() const;
  void OnCpu(Context&) const;
  void OnCuda(Context&) const;
  Work Cost() const;
  int64_t CudaScratchBytes() const;
};

}  // namespace ingot
