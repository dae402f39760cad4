#pragma once
// cp.async: copies of 16 bytes from device to shared memory that land between their issue and their wait, as
// Options::copies says. PTX ISA, "cp.async" and "Async-group mechanism".
#include <cstdint>

#include "kernels/emulator/options.h"
#include "kernels/emulator/site.h"

namespace ingot::emulator {

// Copies 16 bytes, or zeros without reading the source where not `valid`.
void CopyAsync16(void* shared, const void* source, bool valid, Site site);
// Closes the calling thread's open copies to a group, which may be empty.
void CopyAsyncCommit();
// Waits until at most the `pending` newest groups of the calling thread are in flight.
void CopyAsyncWait(int pending);

// Called by the launch.
void StartCopies(const Options& options);
void CheckNoCopyInFlight();
// At a step of the scheduler, under kRandom.
void LandCopiesAtRandom();

}  // namespace ingot::emulator
