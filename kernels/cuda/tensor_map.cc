#include "kernels/cuda/tensor_map.h"

#include "core/base/check.h"

namespace ingot::cuda {
namespace {

// Limits of cuTensorMapEncodeTiled, from cuda.h.
constexpr int64_t kMostElements = int64_t{1} << 32, kStrideLimit = int64_t{1} << 40;
constexpr int kMostBox = 256;
constexpr int64_t kGrain = 16;  // bytes

}  // namespace

void CheckTensorMapLayout(const TensorMapLayout& layout) {
  const int64_t element = SizeOf(layout.dtype);
  INGOT_CHECK(layout.dtype == DType::kF32 || layout.dtype == DType::kBf16 || element == 1,
              "tensor map of %s; f32, bf16 and what has one byte can be", Name(layout.dtype));
  INGOT_CHECK(layout.rank >= 1 && layout.rank <= kMostTensorDimensions, "tensor map of %d dimensions; 1 to 4 can be",
              layout.rank);
  INGOT_CHECK(reinterpret_cast<uintptr_t>(layout.base) % kGrain == 0, "tensor map: %p is not 16-byte aligned",
              layout.base);
  for (int d = 0; d < layout.rank; ++d) {
    const auto size = static_cast<long long>(layout.sizes[d]);
    const int64_t bytes = layout.strides[d] * element;
    INGOT_CHECK(size >= 1 && size <= kMostElements, "tensor map: dimension %d has %lld elements; 1 to 2^32 can be", d,
                size);
    INGOT_CHECK(
        d == 0 ? layout.strides[d] == 1 : bytes > 0 && bytes % kGrain == 0 && bytes < kStrideLimit,
        "tensor map: dimension %d has a stride of %lld bytes; dimension 0 is contiguous, the others are multiples "
        "of 16 bytes below 2^40",
        d, static_cast<long long>(bytes));
    INGOT_CHECK(layout.box[d] >= 1 && layout.box[d] <= kMostBox,
                "tensor map: the box has %d elements in dimension %d; "
                "1 to 256 can be",
                layout.box[d], d);
  }
  const int64_t row = layout.box[0] * element;
  const bool fits = layout.swizzle == Swizzle::kNone ? row % kGrain == 0 : row == static_cast<int64_t>(layout.swizzle);
  INGOT_CHECK(fits, "tensor map: a row of the box has %lld bytes; it is as wide as the swizzle, or a multiple of 16",
              static_cast<long long>(row));
}

}  // namespace ingot::cuda
