#pragma once
// Shuffles, votes and reductions of a warp, and integer atomics. PTX ISA: shfl.sync, vote.sync, atom.
#include <cstdint>

#include "kernels/emulator/site.h"

namespace ingot::emulator {

enum class Shuffle { kIndex, kUp, kDown, kXor };

// The value of the lane that (kind, operand) names within segments of `width` lanes; the own value where that lane lies
// outside the segment. Errors: those of a collective; a source lane that is not in `mask`.
uint64_t ShuffleBits(Shuffle kind, uint32_t mask, uint64_t value, int operand, int width, Site site);
// The lanes of `mask` whose predicate holds.
uint32_t Ballot(uint32_t mask, bool predicate, Site site);
void SyncWarp(uint32_t mask, Site site);

enum class Atomic { kAdd, kMax, kMin, kIncrement, kExchange, kCompareExchange };

// Does the operation on `bytes` (4 or 8) bytes and returns the old value. No other thread comes between; the threads
// may be switched before it.
uint64_t AtomicBits(Atomic operation, void* address, int bytes, bool is_signed, uint64_t value, uint64_t compared,
                    Site site);
// __threadfence: with an atomic behind it a release, with one before it an acquire.
void ThreadFence();

}  // namespace ingot::emulator
