#pragma once
// A ring of stages in shared memory between one thread that loads tiles and warps that consume them.
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/hopper.cuh"

namespace ingot {

template <int kStages>
struct StageBarriers {
  Mbarrier full[kStages];   // one arrival and the bytes of the tiles
  Mbarrier empty[kStages];  // an arrival of each consuming warp
};

// By one thread; a barrier of the block must follow.
template <int kStages>
__device__ __forceinline__ void InitStages(StageBarriers<kStages>& barriers, int consuming_warps) {
  for (int s = 0; s < kStages; ++s) {
    MbarrierInit(barriers.full[s], 1);
    MbarrierInit(barriers.empty[s], consuming_warps);
  }
  FenceMbarrierInit();
}

// Where a loader or a consumer stands. A stage is full for the first time with parity 0, and empty from the start, which
// is parity 1.
template <int kStages>
struct StageCursor {
  int stage = 0;
  uint32_t round = 0;  // parity of how often all stages have been gone through
  __device__ __forceinline__ void Next() {
    if (++stage < kStages) return;
    stage = 0;
    round ^= 1;
  }
};

// The loader's: the stage is free, and `bytes` will come.
template <int kStages>
__device__ __forceinline__ Mbarrier& AcquireStage(StageBarriers<kStages>& barriers, const StageCursor<kStages>& at,
                                                  uint32_t bytes INGOT_AT_SITE) {
  MbarrierWait(barriers.empty[at.stage], at.round ^ 1 INGOT_PASS_SITE);
  MbarrierArriveExpect(barriers.full[at.stage], bytes INGOT_PASS_SITE);
  return barriers.full[at.stage];
}

// The consumers'.
template <int kStages>
__device__ __forceinline__ void WaitForStage(StageBarriers<kStages>& barriers,
                                             const StageCursor<kStages>& at INGOT_AT_SITE) {
  MbarrierWait(barriers.full[at.stage], at.round INGOT_PASS_SITE);
}
// By whole warps: a lane that has not yet seen the stage full, or still reads it, must not find it filled again.
template <int kStages>
__device__ __forceinline__ void ReleaseStage(StageBarriers<kStages>& barriers, int stage INGOT_AT_SITE) {
  __syncwarp(kAllLanes INGOT_PASS_SITE);
  if (threadIdx.x % 32 == 0) MbarrierArrive(barriers.empty[stage] INGOT_PASS_SITE);
}

// What a block does behind its barrier: its first warpgroup loads, by one thread, and leaves its registers to the others,
// which consume.
template <int kLoaderRegisters, int kConsumerRegisters, typename Load, typename Consume>
__device__ __forceinline__ void LoadAndConsume(const Load& load, const Consume& consume) {
  if (threadIdx.x < 128) {
    RegistersGiveBack<kLoaderRegisters>();
    if (threadIdx.x == 0) load();
  } else {
    RegistersTake<kConsumerRegisters>();
    consume();
  }
}

}  // namespace ingot
