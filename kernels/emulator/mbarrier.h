#pragma once
// mbarrier objects in shared memory: 8 bytes each, which count arrivals and bytes of asynchronous copies. PTX ISA, "Parallel
// Synchronization and Communication Instructions: mbarrier".
//
// A phase completes when the expected arrivals have come and the expected bytes have landed; then the next one begins with
// the same number of arrivals.
#include <cstddef>
#include <cstdint>

#include "kernels/emulator/race.h"
#include "kernels/emulator/site.h"

namespace ingot::emulator {

// `arrivals` in each phase: 1 to 2^20 - 1. Errors: a live object already at that place.
void MbarrierInit(void* barrier, int arrivals, Site site);
void MbarrierInvalidate(void* barrier, Site site);
// Expects `bytes` more of this phase, then arrives. Memory is ordered before it. Errors of this and the following: no live
// object there, its bytes overwritten, more arrivals than it counts, expected bytes beyond 2^20 - 1.
void MbarrierArrive(void* barrier, uint32_t bytes, Site site);
// Waits a while for the phase of that parity to complete; whether it has. Memory is ordered behind a true. The phase
// before the first counts as complete, with parity 1.
bool MbarrierTryWait(void* barrier, uint32_t parity, Site site);
// Makes the thread's inits visible to the copies that will complete on them.
void FenceMbarrierInit();
// Also hands the thread's earlier writes of shared memory to the async proxy: bulk copies and wgmma.
void FenceProxyAsync();

// A bulk copy that will complete on the object is issued. Errors: as above; no fence behind the init.
race::Engine& AddCopy(void* barrier, const Site& site);
// It has landed. An error where a phase completes before all copies on it have landed.
void CompleteBytes(void* barrier, uint32_t bytes, uint32_t clock, const Site& site);

// Called by the launch; and for the report of a deadlock.
void ResetMbarriers();
void CheckMbarriers();
void DescribeMbarriers();

}  // namespace ingot::emulator
