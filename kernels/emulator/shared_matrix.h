#pragma once
// Matrices in shared memory as the tensor cores and the bulk tensor copies of sm_90 address them. PTX ISA, "Shared Memory
// Matrix Layout", "Matrix Descriptor Format" and "Swizzling Modes".
#include <cstdint>

#include "kernels/emulator/site.h"

namespace ingot::emulator {

// The address of shared memory that instructions see. As on sm_90 the first 1,024 bytes are not the block's.
inline constexpr uint32_t kSharedBase = 1024;
uint32_t SharedAddress(const void* shared);
// Its bytes; an error where [address, address + bytes) is not the block's.
unsigned char* SharedBytes(uint32_t address, uint32_t bytes, const char* what, const Site& site);

// `span` is the width of the pattern's rows: 32, 64 or 128 bytes, and 16 for none. Exchanges pieces of 16 bytes: bits 4 and
// up are xored with bits 7 and up, as many as the span has pieces (1, 2 or 3 bits).
uint32_t Swizzled(uint32_t address, int span);

struct MatrixDescriptor {
  uint32_t start, leading, stride;  // bytes
  int span;                         // of the swizzle
};
// Errors: a pattern that does not start at a multiple of its period (8 rows), for which a base offset would be needed.
MatrixDescriptor DecodeDescriptor(uint64_t bits, const Site& site);

// The address of 16 bytes of the matrix (mn, k) that the descriptor names, with elements of `element` bytes, 1 or 2: along k
// from a multiple of 16 / element where it is K-major, along mn from a multiple of 8 where it is MN-major, which only 16-bit
// elements can be. mn is m of the first operand and n of the second.
//   K-major            start + mn % 8 * span + mn / 8 * stride + k * element / 16 * (16, without swizzle: leading)
//   MN-major           start + mn % (span / 2) * 2 + mn / (span / 2) * leading + k % 8 * span + k / 8 * stride
//   MN-major, no swizzle   leading and stride trade places
uint32_t PieceAddress(const MatrixDescriptor& matrix, bool mn_major, int mn, int k, int element);

}  // namespace ingot::emulator
