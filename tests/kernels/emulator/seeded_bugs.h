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
};

// Runs the kernel; true where its numbers are right.
bool ResultIsRight(Bug bug);

// A kernel of kInlineAccesses threads, each of which reads and writes memory inside inline functions alone.
inline constexpr int kInlineAccesses = 64;
bool InlineAccessesAreRight();

}  // namespace ingot
