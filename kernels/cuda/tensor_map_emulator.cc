#include <cstring>

#include "kernels/cuda/tensor_map.h"
#include "kernels/emulator/options.h"
#include "kernels/emulator/tensor_map.h"

namespace ingot::cuda {

TensorMap MakeTensorMap(const TensorMapLayout& layout) {
  CheckTensorMapLayout(layout);
  static_assert(kMostTensorDimensions == emulator::kMaxTensorRank);
  emulator::TensorMap map{};
  map.cookie = emulator::kTensorMapCookie;
  map.base = static_cast<unsigned char*>(const_cast<void*>(layout.base));
  map.rank = static_cast<uint8_t>(layout.rank);
  map.span = static_cast<uint8_t>(layout.swizzle);
  for (int d = 0; d < layout.rank; ++d) {
    map.sizes[d] = layout.sizes[d];
    map.strides[d] = layout.strides[d] * SizeOf(layout.dtype);
    map.box[d] = static_cast<uint16_t>(layout.box[d]);
  }
  TensorMap result;
  static_assert(sizeof map <= sizeof result.bytes);
  std::memcpy(result.bytes, &map, sizeof map);
  return result;
}

bool HasSm90() { return emulator::Capability() == 90; }
int Multiprocessors() { return 2; }

}  // namespace ingot::cuda
