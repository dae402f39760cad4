#pragma once
// CRC32C: the Castagnoli polynomial 0x1EDC6F41, reflected, initial value and final xor 0xFFFFFFFF (RFC 3720 §B.4).
#include <cstddef>
#include <cstdint>

namespace ingot {

// Checksum of `size` bytes that follow bytes whose checksum is `crc` (0 for none).
// Extend(Extend(0, a), b) is the checksum of a and b joined.
uint32_t ExtendCrc32c(uint32_t crc, const void* bytes, size_t size);

inline uint32_t Crc32c(const void* bytes, size_t size) { return ExtendCrc32c(0, bytes, size); }

// The same by a byte table, for processors without SSE4.2 and as the reference in tests.
uint32_t ExtendCrc32cByTable(uint32_t crc, const void* bytes, size_t size);

}  // namespace ingot
