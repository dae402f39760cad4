#pragma once
// Tensors that `ingot bench kernels` works on.
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "core/base/arena.h"
#include "core/base/tensor.h"
#include "core/model/backend.h"
#include "kernels/fp8_matrix.h"

namespace ingot {

// Memory of one group of ops on one backend, freed together. Without a backend tensors have shapes and no memory, which
// is enough to ask an op for its cost. Values look random and are the same at every call.
class BenchMemory {
 public:
  // `scalar`: the type of activations and weights. On the CPU, which computes in f32 alone, bf16 means their values.
  BenchMemory(const Backend* backend, DType scalar) : backend_(backend), scalar_(scalar) {}

  Tensor Scalars(std::initializer_list<int64_t> shape, float scale = 1);
  Tensor F32(std::initializer_list<int64_t> shape) { return Floats(DType::kF32, shape, 1, 0); }
  // Non-negative values, as second moments and reciprocal deviations are.
  Tensor Positive(std::initializer_list<int64_t> shape) { return Floats(DType::kF32, shape, 0.25f, 0.5f); }
  // e4m3 or e5m2, rows and columns; the same values as Scalars().
  Fp8Matrix Fp8(DType type, int64_t R, int64_t C);
  Tensor Bytes(int64_t count) { return Take(DType::kU8, {count}); }
  Tensor F64(int64_t count);  // zeros
  // i * step modulo `limit`.
  Tensor I32(std::initializer_list<int64_t> shape, int64_t limit, int64_t step = 1);

  const std::vector<Tensor>& tensors() const { return tensors_; }  // all of them, in the order they were made
  // The first error of a call above; its tensors have no memory then.
  const absl::Status& status() const { return status_; }

 private:
  // scale * x + shift with x in [-1, 1).
  Tensor Floats(DType type, std::initializer_list<int64_t> shape, float scale, float shift, bool rounded = false);
  Tensor Take(DType type, std::initializer_list<int64_t> shape);
  void Upload(const Tensor& t, const void* values);

  const Backend* backend_;
  DType scalar_;
  std::vector<Arena> arenas_;
  std::vector<Tensor> tensors_;
  absl::Status status_;
};

}  // namespace ingot
