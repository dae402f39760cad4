#pragma once
// What a tensor map of the bulk tensor copies says: a tensor of up to four dimensions in device memory and the box that one
// copy moves. On a GPU cuTensorMapEncodeTiled packs it into bits of its own.
#include <cstddef>
#include <cstdint>
#include <functional>

#include "kernels/emulator/site.h"

namespace ingot::emulator {

inline constexpr int kMaxTensorRank = 4;

// Dimension 0 is contiguous in memory.
struct TensorMap {
  uint64_t cookie;  // kTensorMapCookie: somebody has made it
  unsigned char* base;
  int64_t sizes[kMaxTensorRank];
  int64_t strides[kMaxTensorRank];  // bytes; the first is the element's size
  uint16_t box[kMaxTensorRank];
  uint8_t rank;
  uint8_t span;  // of the swizzle: 16 (none), 32, 64 or 128 bytes
};
inline constexpr uint64_t kTensorMapCookie = 0x70616d726f736e65u;

uint32_t BoxBytes(const TensorMap& map);

// Calls visit(shared, device, bytes) for each part of the box at coordinates `at` that lies in one piece in both memories:
// `shared` is an address as instructions see it, behind the swizzle, `device` null where the tensor has no such elements.
// In shared memory the rows of the box lie one after another from address `shared`.
using VisitPart = std::function<void(uint32_t shared, unsigned char* device, uint32_t bytes)>;
void ForEachPart(const TensorMap& map, const int (&at)[kMaxTensorRank], uint32_t shared, const VisitPart& visit);

}  // namespace ingot::emulator
