#include "core/model/fp8_weights.h"

#include "core/base/arena.h"

namespace ingot {

Fp8Weights::Fp8Weights(const ModelDims& dims, const RunShape& shape) : training_(shape.training) {
  if (shape.fp8.blocks) {
    const int64_t attended = dims.H * dims.D, qkv = attended + 2 * dims.K * dims.D;
    blocks_[kQkv] = Take(qkv, dims.C);
    blocks_[kProjection] = Take(dims.C, attended);
    blocks_[kUp] = Take(dims.architecture == Architecture::kLlama ? 2 * dims.F : dims.F, dims.C);
    blocks_[kDown] = Take(dims.C, dims.F);
  }
  layer_bytes_ = bytes_;
  bytes_ *= dims.L;
  if (shape.fp8.head) head_ = Take(dims.V, dims.C);
}

Fp8Weights::Place Fp8Weights::Take(int64_t O, int64_t I) {
  const auto take = [this](int64_t size) {
    const int64_t begin = bytes_;
    bytes_ += Arena::Aligned(size);
    return begin;
  };
  Place place = {.O = O, .I = I};
  place.rows = take(O * I);
  if (training_) place.columns = take(O * I);
  place.scales = take(Fp8Matrix::Blocks(O) * Fp8Matrix::Blocks(I) * SizeOf(DType::kF32));
  return place;
}

Fp8Matrix Fp8Weights::View(void* base, const Place& place, int64_t offset) const {
  if (place.O == 0) return {};
  const auto at = [&](int64_t byte) { return base == nullptr ? nullptr : static_cast<char*>(base) + offset + byte; };
  return {.rows = Tensor(at(place.rows), DType::kE4m3, {place.O, place.I}),
          .columns = training_ ? Tensor(at(place.columns), DType::kE4m3, {place.I, place.O}) : Tensor(),
          .scales = Tensor(at(place.scales), DType::kF32, {Fp8Matrix::Blocks(place.O), Fp8Matrix::Blocks(place.I)})};
}

Fp8Matrix Fp8Weights::Of(void* base, int64_t l, Matrix matrix) const {
  return View(base, blocks_[matrix], l * layer_bytes_);
}

Fp8Matrix Fp8Weights::Head(void* base) const { return View(base, head_, 0); }

}  // namespace ingot
