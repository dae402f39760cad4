#pragma once
// The emulator's bodies of the instruction wrappers of kernels/cuda/hopper.cuh, under the same names.
#include <cstdint>

#include "kernels/emulator/bulk_copy.h"
#include "kernels/emulator/device.h"
#include "kernels/emulator/mbarrier.h"
#include "kernels/emulator/shared_matrix.h"
#include "kernels/emulator/wgmma.h"

namespace ingot {

struct Mbarrier {
  alignas(8) unsigned char state[8];
};
struct TensorMap;

__forceinline__ uint32_t SharedAddress(const void* shared) { return emulator::SharedAddress(shared); }

__forceinline__ void MbarrierInit(Mbarrier& barrier, int arrivals INGOT_AT_SITE) {
  emulator::MbarrierInit(&barrier, arrivals, site);
}
__forceinline__ void MbarrierInvalidate(Mbarrier& barrier INGOT_AT_SITE) {
  emulator::MbarrierInvalidate(&barrier, site);
}
__forceinline__ void MbarrierArrive(Mbarrier& barrier INGOT_AT_SITE) { emulator::MbarrierArrive(&barrier, 0, site); }
__forceinline__ void MbarrierArriveExpect(Mbarrier& barrier, uint32_t bytes INGOT_AT_SITE) {
  emulator::MbarrierArrive(&barrier, bytes, site);
}
__forceinline__ bool MbarrierTryWait(Mbarrier& barrier, uint32_t parity INGOT_AT_SITE) {
  return emulator::MbarrierTryWait(&barrier, parity, site);
}
__forceinline__ void FenceMbarrierInit() { emulator::FenceMbarrierInit(); }
__forceinline__ void FenceProxyAsync() { emulator::FenceProxyAsync(); }

__forceinline__ void PrefetchTensorMap(const TensorMap&) {}
__forceinline__ void TensorLoad(void* shared, const TensorMap& map, Mbarrier& barrier, int x, int y INGOT_AT_SITE) {
  emulator::TensorLoad(shared, &map, &barrier, {x, y}, 2, site);
}
__forceinline__ void TensorLoad(void* shared, const TensorMap& map, Mbarrier& barrier, int x, int y,
                                int z INGOT_AT_SITE) {
  emulator::TensorLoad(shared, &map, &barrier, {x, y, z}, 3, site);
}
__forceinline__ void TensorLoad(void* shared, const TensorMap& map, Mbarrier& barrier, int x, int y, int z,
                                int w INGOT_AT_SITE) {
  emulator::TensorLoad(shared, &map, &barrier, {x, y, z, w}, 4, site);
}
__forceinline__ void TensorStore(const TensorMap& map, const void* shared, int x, int y INGOT_AT_SITE) {
  emulator::TensorStore(&map, shared, {x, y}, 2, site);
}
__forceinline__ void TensorStore(const TensorMap& map, const void* shared, int x, int y, int z INGOT_AT_SITE) {
  emulator::TensorStore(&map, shared, {x, y, z}, 3, site);
}
__forceinline__ void TensorStore(const TensorMap& map, const void* shared, int x, int y, int z, int w INGOT_AT_SITE) {
  emulator::TensorStore(&map, shared, {x, y, z, w}, 4, site);
}
__forceinline__ void BulkLoad(void* shared, const void* device, uint32_t bytes, Mbarrier& barrier INGOT_AT_SITE) {
  emulator::BulkLoad(shared, device, bytes, &barrier, site);
}
__forceinline__ void BulkStore(void* device, const void* shared, uint32_t bytes INGOT_AT_SITE) {
  emulator::BulkStore(device, shared, bytes, site);
}
__forceinline__ void BulkCommit() { emulator::BulkCommit(); }
template <int kPending>
__forceinline__ void BulkWaitRead() {
  emulator::BulkWait(kPending);
}
template <int kPending>
__forceinline__ void BulkWait() {
  emulator::BulkWait(kPending);
}

__forceinline__ void WgmmaFence(INGOT_SITE) { emulator::WgmmaFence(site); }
__forceinline__ void WgmmaCommit(INGOT_SITE) { emulator::WgmmaCommit(site); }
template <int kPending>
__forceinline__ void WgmmaWait(INGOT_SITE) {
  emulator::WgmmaWait(kPending, site);
}
template <int kPending, int kRegisters>
__forceinline__ void WgmmaWait(float (&)[kRegisters] INGOT_AT_SITE) {
  emulator::WgmmaWait(kPending, site);
}
template <bool kMMajorA, bool kNMajorB, int kRegisters>
__forceinline__ void WgmmaM64K16(float (&d)[kRegisters], uint64_t a, uint64_t b, bool accumulate INGOT_AT_SITE) {
  emulator::Wgmma(d, kRegisters, {nullptr, a, b, kMMajorA, kNMajorB, accumulate}, site);
}
template <bool kNMajorB, int kRegisters>
__forceinline__ void WgmmaM64K16(float (&d)[kRegisters], const uint32_t (&a)[4], uint64_t b,
                                 bool accumulate INGOT_AT_SITE) {
  emulator::Wgmma(d, kRegisters, {a, 0, b, false, kNMajorB, accumulate}, site);
}

template <typename A, typename B, int kRegisters>
__forceinline__ void WgmmaM64K32(float (&d)[kRegisters], uint64_t a, uint64_t b, bool accumulate INGOT_AT_SITE) {
  emulator::Wgmma(d, kRegisters, {nullptr, a, b, false, false, accumulate, DTypeOf<A>::kValue, DTypeOf<B>::kValue},
                  site);
}

template <int kRegisters>
__forceinline__ void RegistersGiveBack(INGOT_SITE) {
  emulator::SetMaxRegisters(kRegisters, false, site);
}
template <int kRegisters>
__forceinline__ void RegistersTake(INGOT_SITE) {
  emulator::SetMaxRegisters(kRegisters, true, site);
}

}  // namespace ingot
