#pragma once
// Tensor maps: what the bulk tensor copies of sm_90 (TMA) need to know of a tensor in device memory. Free of CUDA's headers.
#include <cstdint>

#include "core/base/dtype.h"

namespace ingot {

// 128 bytes that only the copies read; a kernel takes it as a const __grid_constant__ parameter, or inside of one.
struct alignas(64) TensorMap {
  unsigned char bytes[128];
};

// Width in bytes of the rows of the pattern in which a box lies in shared memory, to be free of bank conflicts. Pieces of 16
// bytes trade places: piece p of row r becomes p ^ (r % 8), (r / 2 % 4) or (r / 4 % 2).
enum class Swizzle : uint8_t { kNone = 16, k32 = 32, k64 = 64, k128 = 128 };

namespace cuda {

inline constexpr int kMostTensorDimensions = 4;

// Dimension 0 lies contiguous in memory.
struct TensorMapLayout {
  const void* base = nullptr;  // 16-byte aligned
  DType dtype = DType::kBf16;  // f32, bf16 or one of a byte
  int rank = 0;                // 1 to 4
  int64_t sizes[kMostTensorDimensions] = {};
  int64_t strides[kMostTensorDimensions] = {};  // in elements; the first is 1, the others are multiples of 16 bytes
  int box[kMostTensorDimensions] = {};          // that one copy moves: 1 to 256 each; box[0] as wide as the swizzle
  Swizzle swizzle = Swizzle::kNone;
};

// For the current device. A layout that the hardware does not take is a programmer's error.
TensorMap MakeTensorMap(const TensorMapLayout& layout);
void CheckTensorMapLayout(const TensorMapLayout& layout);

// Whether kernels of sm_90a are to be used: the current device is of compute capability 9.0 and its driver makes tensor maps.
// The emulated device is what INGOT_EMULATOR_CAPABILITY says.
bool HasSm90();
// Of the current device; 2 on the emulator, so that blocks own several tiles in tests.
int Multiprocessors();

}  // namespace cuda
}  // namespace ingot
