#include "kernels/emulator/shared_matrix.h"

#include "kernels/emulator/fail.h"
#include "kernels/emulator/thread.h"

namespace ingot::emulator {
namespace {

constexpr int kNoSwizzle = 16;
constexpr uint32_t kRowsOfPattern = 8;

uint32_t Field(uint64_t bits, int from) { return static_cast<uint32_t>(bits >> from & 0x3fff) << 4; }

}  // namespace

uint32_t SharedAddress(const void* shared) {
  return kSharedBase + static_cast<uint32_t>(static_cast<const unsigned char*>(shared) - current_block.shared);
}

unsigned char* SharedBytes(uint32_t address, uint32_t bytes, const char* what, const Site& site) {
  if (address < kSharedBase || address + bytes > kSharedBase + current_block.shared_bytes) {
    Fail("%s at %s:%u: shared bytes %lld to %lld; the block has %zu", what, site.file, site.line,
         static_cast<long long>(address) - kSharedBase, static_cast<long long>(address) - kSharedBase + bytes,
         current_block.shared_bytes);
  }
  return current_block.shared + (address - kSharedBase);
}

uint32_t Swizzled(uint32_t address, int span) {
  const uint32_t pieces = static_cast<uint32_t>(span) / 16;
  return address ^ ((address >> 7 & (pieces - 1)) << 4);
}

MatrixDescriptor DecodeDescriptor(uint64_t bits, const Site& site) {
  constexpr int kSpans[] = {kNoSwizzle, 128, 64, 32};  // by layout type
  const MatrixDescriptor matrix{Field(bits, 0), Field(bits, 16), Field(bits, 32), kSpans[bits >> 62]};
  const auto span = static_cast<uint32_t>(matrix.span);
  const bool starts_late = span != kNoSwizzle && matrix.start % (span * kRowsOfPattern) / 128 != 0;
  if (starts_late || (bits >> 49 & 7) != 0) {
    Fail(
        "wgmma at %s:%u: the pattern of a %u-byte swizzle must start at a multiple of %u bytes; the descriptor starts "
        "at %u",
        site.file, site.line, span, span * kRowsOfPattern, matrix.start);
  }
  return matrix;
}

uint32_t PieceAddress(const MatrixDescriptor& matrix, bool mn_major, int mn, int k, int element) {
  const auto row = static_cast<uint32_t>(mn), depth = static_cast<uint32_t>(k),
             span = static_cast<uint32_t>(matrix.span);
  const bool swizzled = matrix.span != kNoSwizzle;
  uint32_t at = matrix.start;
  if (!mn_major) {
    const uint32_t piece = depth * static_cast<uint32_t>(element) / 16;
    at += row % 8 * span + row / 8 * matrix.stride + piece * (swizzled ? 16 : matrix.leading);
  } else {
    const uint32_t along_mn = swizzled ? matrix.leading : matrix.stride;
    const uint32_t along_k = swizzled ? matrix.stride : matrix.leading;
    at += row % (span / 2) * 2 + row / (span / 2) * along_mn + depth % 8 * span + depth / 8 * along_k;
  }
  return Swizzled(at, matrix.span);
}

}  // namespace ingot::emulator
