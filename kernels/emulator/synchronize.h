#pragma once
// How threads of a block wait for each other: barriers and collectives of a warp or a warpgroup.
#include <cstdint>

#include "kernels/emulator/site.h"

namespace ingot::emulator {

inline constexpr int kBarriers = 16;
inline constexpr uint32_t kFullMask = 0xffffffffu;

// bar.sync id, threads (0: the whole block, none of which may have exited). Memory is ordered across it.
// Errors: an id outside 0..15, a count that is no multiple of 32 or beyond the block or differs from the others', two
// places in the source that meet in one barrier.
void Barrier(int id, int threads, Site site);
// bar.arrive id, threads: counts as Barrier does, but does not wait.
void BarrierArrive(int id, int threads, Site site);

// Every lane of `mask` calls with its own argument; the last to come runs `function` once with all arguments, those of
// lanes outside the mask null. `operation` names it in errors. Errors: a caller outside its mask, a lane that has
// exited or lies beyond the block, lanes that meet from two places or operations.
using Collective = void (*)(void* const* arguments, uint32_t mask);
void WarpCollective(const char* operation, uint32_t mask, void* argument, Collective function, bool orders_memory,
                    Site site);

// The same for the 128 threads of the caller's warpgroup.
using WarpgroupFunction = void (*)(void* const* arguments);
void WarpgroupCollective(const char* operation, void* argument, WarpgroupFunction function, Site site);

// Waits until somebody calls Wake with this key; the caller then looks again at what it waits for.
void WaitFor(const void* key, const char* operation, Site site);
void Wake(const void* key);

// Called by the launch: before each block, and after it with an error if threads still wait.
void ResetBarriers();
void CheckAllExited();

}  // namespace ingot::emulator
