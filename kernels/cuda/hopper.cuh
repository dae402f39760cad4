#pragma once
// The instructions of sm_90a for moving tiles: mbarriers, bulk copies (TMA), proxy fences, registers that change hands.
// Included by files *_sm90.cu, which no other GPU can run. Without nvcc the emulator's reference bodies stand under the same
// names (kernels/emulator/hopper.h). Sources: PTX ISA 9.0. Products of these tiles: wgmma.cuh.
//
//   Mbarrier                          8 bytes in shared memory. A phase completes with the arrivals and bytes it expects
//   MbarrierInit(b, arrivals)         by one thread; then FenceMbarrierInit() and a barrier of the block
//   MbarrierArrive(b), MbarrierArriveExpect(b, bytes)   one arrival; the second expects bytes of copies before
//   MbarrierTryWait(b, parity)        whether the phase of that parity is complete, after a while of waiting. Phases count
//                                     from 0, and the one before the first counts as complete: parity 1
//   MbarrierWait(b, parity)           until it is
//   MbarrierInvalidate(b)             before its bytes are used for something else
//   FenceProxyAsync()                 what the thread has stored to shared memory becomes visible to copies and wgmma; by
//                                     each writer, before the barrier behind which they start
//   TensorLoad(shared, map, b, x, y[, z[, w]])   the box at these coordinates, innermost first, zeros outside of the tensor;
//                                     it completes on b with the bytes of the whole box. By one thread. `shared` is 128-byte
//                                     aligned, and to 8 rows of the pattern where there is one
//   TensorStore(map, shared, x, y[, z[, w]])     the parts inside of the tensor, in the thread's open bulk group
//   BulkLoad(shared, device, bytes, b), BulkStore(device, shared, bytes)   a range, in multiples of 16 bytes
//   BulkCommit(), BulkWaitRead<N>(), BulkWait<N>()   of the thread's groups at most N have not been read, or not landed
//   RegistersGiveBack<N>(), RegistersTake<N>()   by a whole warpgroup: from now on N registers a thread. The kernel has
//                                     __launch_bounds__(threads, 1)
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/tensor_map.h"
#ifdef __CUDACC__

#include <cstdint>

namespace ingot {

struct Mbarrier {
  uint64_t state;
};

__device__ __forceinline__ void MbarrierInit(Mbarrier& barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(SharedAddress(&barrier)), "r"(arrivals) : "memory");
}
__device__ __forceinline__ void MbarrierInvalidate(Mbarrier& barrier) {
  asm volatile("mbarrier.inval.shared::cta.b64 [%0];" ::"r"(SharedAddress(&barrier)) : "memory");
}
__device__ __forceinline__ void MbarrierArrive(Mbarrier& barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(SharedAddress(&barrier)) : "memory");
}
__device__ __forceinline__ void MbarrierArriveExpect(Mbarrier& barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(SharedAddress(&barrier)), "r"(bytes)
               : "memory");
}
__device__ __forceinline__ bool MbarrierTryWait(Mbarrier& barrier, uint32_t parity) {
  uint32_t complete;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n"
      "}"
      : "=r"(complete)
      : "r"(SharedAddress(&barrier)), "r"(parity)
      : "memory");
  return complete != 0;
}
__device__ __forceinline__ void FenceMbarrierInit() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void FenceProxyAsync() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

__device__ __forceinline__ void PrefetchTensorMap(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}
__device__ __forceinline__ void TensorLoad(void* shared, const TensorMap& map, Mbarrier& barrier, int x, int y) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::
          "r"(SharedAddress(shared)),
      "l"(&map), "r"(SharedAddress(&barrier)), "r"(x), "r"(y)
      : "memory");
}
__device__ __forceinline__ void TensorLoad(void* shared, const TensorMap& map, Mbarrier& barrier, int x, int y, int z) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], "
      "[%2];" ::"r"(SharedAddress(shared)),
      "l"(&map), "r"(SharedAddress(&barrier)), "r"(x), "r"(y), "r"(z)
      : "memory");
}
__device__ __forceinline__ void TensorLoad(void* shared, const TensorMap& map, Mbarrier& barrier, int x, int y, int z,
                                           int w) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], "
      "[%2];" ::"r"(SharedAddress(shared)),
      "l"(&map), "r"(SharedAddress(&barrier)), "r"(x), "r"(y), "r"(z), "r"(w)
      : "memory");
}
__device__ __forceinline__ void TensorStore(const TensorMap& map, const void* shared, int x, int y) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%2, %3}], [%1];" ::"l"(&map),
               "r"(SharedAddress(shared)), "r"(x), "r"(y)
               : "memory");
}
__device__ __forceinline__ void TensorStore(const TensorMap& map, const void* shared, int x, int y, int z) {
  asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(&map),
               "r"(SharedAddress(shared)), "r"(x), "r"(y), "r"(z)
               : "memory");
}
__device__ __forceinline__ void TensorStore(const TensorMap& map, const void* shared, int x, int y, int z, int w) {
  asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(&map),
               "r"(SharedAddress(shared)), "r"(x), "r"(y), "r"(z), "r"(w)
               : "memory");
}
__device__ __forceinline__ void BulkLoad(void* shared, const void* device, uint32_t bytes, Mbarrier& barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   SharedAddress(shared)),
               "l"(device), "r"(bytes), "r"(SharedAddress(&barrier))
               : "memory");
}
__device__ __forceinline__ void BulkStore(void* device, const void* shared, uint32_t bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(device), "r"(SharedAddress(shared)),
               "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void BulkCommit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
template <int kPending>
__device__ __forceinline__ void BulkWaitRead() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(kPending) : "memory");
}
template <int kPending>
__device__ __forceinline__ void BulkWait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(kPending) : "memory");
}

template <int kRegisters>
__device__ __forceinline__ void RegistersGiveBack() {
  static_assert(kRegisters >= 24 && kRegisters <= 256 && kRegisters % 8 == 0);
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void RegistersTake() {
  static_assert(kRegisters >= 24 && kRegisters <= 256 && kRegisters % 8 == 0);
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

}  // namespace ingot

#else
#include "kernels/emulator/hopper.h"  // IWYU pragma: export
#endif

namespace ingot {

__device__ __forceinline__ void MbarrierWait(Mbarrier& barrier, uint32_t parity INGOT_AT_SITE) {
  while (!MbarrierTryWait(barrier, parity INGOT_PASS_SITE)) {
  }
}

}  // namespace ingot
