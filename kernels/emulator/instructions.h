#pragma once
// The emulator's bodies of the instruction wrappers of kernels/cuda/ptx.cuh, under the same names.
#include <cstdint>

#include "core/base/fp8.h"
#include "kernels/emulator/async_copy.h"
#include "kernels/emulator/device.h"
#include "kernels/emulator/matrix.h"

namespace ingot {

__forceinline__ void CopyAsync16(void* shared, const void* source, bool valid = true INGOT_AT_SITE) {
  emulator::CopyAsync16(shared, source, valid, site);
}
__forceinline__ void CopyAsyncCommit() { emulator::CopyAsyncCommit(); }
template <int kPending>
__forceinline__ void CopyAsyncWait() {
  emulator::CopyAsyncWait(kPending);
}

__forceinline__ void LoadMatrixX4(uint32_t (&r)[4], const void* row INGOT_AT_SITE) {
  emulator::LoadMatrix(r, row, 4, false, site);
}
__forceinline__ void LoadMatrixX2(uint32_t (&r)[2], const void* row INGOT_AT_SITE) {
  emulator::LoadMatrix(r, row, 2, false, site);
}
__forceinline__ void LoadMatrixX1(uint32_t& r, const void* row INGOT_AT_SITE) {
  emulator::LoadMatrix(&r, row, 1, false, site);
}
__forceinline__ void LoadMatrixX4Transposed(uint32_t (&r)[4], const void* row INGOT_AT_SITE) {
  emulator::LoadMatrix(r, row, 4, true, site);
}
__forceinline__ void LoadMatrixX2Transposed(uint32_t (&r)[2], const void* row INGOT_AT_SITE) {
  emulator::LoadMatrix(r, row, 2, true, site);
}
__forceinline__ void LoadMatrixX1Transposed(uint32_t& r, const void* row INGOT_AT_SITE) {
  emulator::LoadMatrix(&r, row, 1, true, site);
}
__forceinline__ void MmaM16N8K16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1 INGOT_AT_SITE) {
  emulator::MmaM16N8K16(d, a, b0, b1, site);
}

__forceinline__ void BarrierSync(int id, int threads INGOT_AT_SITE) { emulator::Barrier(id, threads, site); }
__forceinline__ void BarrierArrive(int id, int threads INGOT_AT_SITE) { emulator::BarrierArrive(id, threads, site); }

__forceinline__ uint32_t PackBf16x2(float low, float high) {
  return uint32_t{ToBf16(low).bits} | uint32_t{ToBf16(high).bits} << 16;
}
template <typename Fp8>
__forceinline__ uint32_t PackFp8x4(float a, float b, float c, float d) {
  return uint32_t{ToFp8<Fp8>(a).bits} | uint32_t{ToFp8<Fp8>(b).bits} << 8 | uint32_t{ToFp8<Fp8>(c).bits} << 16 |
         uint32_t{ToFp8<Fp8>(d).bits} << 24;
}

}  // namespace ingot
