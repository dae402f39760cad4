#pragma once
// The communicator over NCCL, between GPUs. Messages of a GPU go from memory to memory in the order of the stream that
// they are given with; those of the host go through buffers on the GPU that NCCL itself allocates and registers, in chunks,
// on a stream of their own. Calls never block inside NCCL, so that a rank that waits hears of another's death and aborts.
#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "distributed/communicator.h"

namespace ingot {

// "NCCL 2.28.9, /usr/lib/libnccl.so.2". Errors: why there is none: a build without CUDA or NCCL's header, no library.
absl::StatusOr<std::string> NcclName();

// Collective: between all ranks of `control`, which must outlive it. Rank 0's id reaches the others by the control plane.
// A message waits at most `limit`. Errors: what NCCL says, such as that there is no driver.
absl::StatusOr<std::unique_ptr<Communicator>> NcclCommunicator(ControlPlane& control, std::chrono::milliseconds limit);

}  // namespace ingot
