#pragma once
// Fp8Weights: where the weights of a model lie that products read as 8-bit operands. Internal to core/model.
#include <cstdint>

#include "core/model/dims.h"
#include "core/model/model.h"
#include "kernels/fp8_matrix.h"

namespace ingot {

class Fp8Weights {
 public:
  // A layer's matrices, each as it lies in the flat buffer.
  enum Matrix { kQkv, kProjection, kUp, kDown, kMatrices };
  Fp8Weights(const ModelDims& dims, const RunShape& shape);

  int64_t bytes() const { return bytes_; }
  // In the memory at `base` (null for describing); absent where products read another format.
  Fp8Matrix Of(void* base, int64_t l, Matrix matrix) const;
  Fp8Matrix Head(void* base) const;

 private:
  struct Place {
    int64_t O = 0, I = 0;                       // no elements: not rounded
    int64_t rows = 0, columns = 0, scales = 0;  // bytes from the beginning
  };
  Place Take(int64_t O, int64_t I);
  Fp8Matrix View(void* base, const Place& place, int64_t offset) const;

  bool training_;
  int64_t bytes_ = 0, layer_bytes_ = 0;
  Place blocks_[kMatrices], head_;
};

}  // namespace ingot
