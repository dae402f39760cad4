#pragma once
// Bulk copies between device and shared memory: cp.async.bulk (one range) and cp.async.bulk.tensor (a box of a tensor map).
// They belong to the async proxy and land between issue and completion as Options::copies says: kLate when no thread of the
// block can run. PTX ISA, "Data Movement and Conversion Instructions: Bulk copy" and "Tensor copy".
#include <cstdint>

#include "kernels/emulator/options.h"
#include "kernels/emulator/site.h"
#include "kernels/emulator/tensor_map.h"

namespace ingot::emulator {

// Loads complete on the mbarrier with the bytes of the whole box, those outside of the tensor (zeros) included. Loads land in
// any order. Errors: addresses, sizes or coordinates against the rules of the instruction; no tensor map; an mbarrier that
// cannot take them.
void TensorLoad(void* shared, const void* map, void* barrier, const int (&at)[kMaxTensorRank], int rank, Site site);
void BulkLoad(void* shared, const void* device, uint32_t bytes, void* barrier, Site site);

// Stores belong to the thread's open bulk group. What lies outside of the tensor is not written.
void TensorStore(const void* map, const void* shared, const int (&at)[kMaxTensorRank], int rank, Site site);
void BulkStore(void* device, const void* shared, uint32_t bytes, Site site);
void BulkCommit();
// Waits until at most the `pending` newest groups of the thread are in flight. Here a group that has been read has landed.
void BulkWait(int pending);

// Called by the launch.
void StartBulkCopies(const Options& options);
void CheckNoBulkCopyInFlight();
// One copy lands; false if none is in flight.
bool LandOneBulkCopy();
// At a step of the scheduler, under kRandom.
void LandBulkCopiesAtRandom();

}  // namespace ingot::emulator
