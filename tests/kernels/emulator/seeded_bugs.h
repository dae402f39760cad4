#pragma once
// Kernels with one mistake each, and the same kernels without: what the emulator must find, and what it must not.

namespace ingot {

enum class Bug {
  kNone,
  // A reduction of two sums through shared memory.
  kNoBarrierAfterWrite,
  kNoBarrierBeforeReuse,
  kReadPastTheEnd,
  kSharedOverrun,
  // A pipeline of cp.async with three stages.
  kPipelineNone,
  kWaitTooLax,
  kNoBarrierAfterWait,
  kNoBarrierBeforeOverwrite,
  kCopyNotWaitedFor,
  kCopyTwiceInOneGroup,
  // Small ones.
  kSyncwarpNone,
  kNoSyncwarp,
  kUninitialisedRead,
  kAllBlocksWrite,
  kAllBlocksWriteAtomically,
  kExitBeforeBarrier,
  kDivergentBarrier,
  kUnequalBarrierCounts,
  kLanesMissing,
  kShuffleFromOutsideTheMask,
  kMisalignedVector,
  kMisalignedScalar,
  kBarrierOfOddCount,
  kDeviceOverrun,
  kTooMuchShared,
  kTooManyThreads,
  kLastBlockWithoutFence,
  kLastBlockNone,
  // A product by TMA, mbarriers and wgmma with three stages: one thread loads, a warpgroup multiplies.
  kHopperNone,
  kNoBarrierAfterInit,
  kNoFenceAfterInit,
  kNothingExpected,
  kHalfExpected,
  kWrongParityOfConsumer,
  kWrongParityOfProducer,
  kProducerDoesNotWait,
  kConsumerDoesNotWait,
  kOneWarpDoesNotWait,
  kReleasedBeforeRead,
  kArrivesTwice,
  kNoWgmmaFence,
  kAccumulatorRead,
  kAccumulatorWritten,
  kWgmmaNotWaitedFor,
  kWrongSwizzle,
  kWrongStride,
  kTileOffItsPeriod,
  kDescriptorsDiffer,
  kMbarrierOverwritten,
  kOperandStoredNone,
  kOperandStoredWithoutProxyFence,
  kTooFewRegisters,
  // A ring of stages whose consumers only read.
  kRingNone,
  kReleasedByALaneAlone,
  // Tiles that go out through one buffer by TMA.
  kTensorStoreNone,
  kStoredWithoutProxyFence,
  kStoreNotWaitedFor,
  kBufferWrittenWhileRead,
};

// Runs the kernel; true where its numbers are right.
bool ResultIsRight(Bug bug);
// The part of it for the kernels of sm_90a.
bool HopperResultIsRight(Bug bug);

// A kernel of kInlineAccesses threads, each of which reads and writes memory inside inline functions alone.
inline constexpr int kInlineAccesses = 64;
bool InlineAccessesAreRight();

}  // namespace ingot
