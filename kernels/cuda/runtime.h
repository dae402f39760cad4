#pragma once
// The CUDA runtime as the host code of Ingot sees it: device memory, streams, copies. Two bodies: a GPU's, or the
// emulator's where the build has no CUDA toolkit (kernels/emulator). Errors are what a machine can cause: no driver, no
// device, no memory, a kernel that failed.
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ingot::cuda {

// Whether kCuda contexts run on a GPU (true) or on the emulator of this build.
bool IsEmulated();

// Of several processes on this machine, each for a GPU of its own, this is number `local_rank` from 0. To be called
// before the first OwnDevice().
void SetLocalRank(int local_rank);
// The GPU of this process: that of its local rank, or the only one that CUDA_VISIBLE_DEVICES shows.
int OwnDevice();

// "NVIDIA H100 80GB HBM3, CUDA runtime 13.0", "emulator" or "emulator of compute capability 9.0". Errors: no driver,
// no device, a device older than
// compute capability 8.0. Selects device `index` for this process.
absl::StatusOr<std::string> SelectDevice(int index);

// In each other thread, before it uses the device that was selected: a thread of its own begins with device 0.
void UseDevice();

// Free device memory in bytes.
absl::StatusOr<int64_t> FreeBytes();

// Device memory, 256-byte aligned; every byte is 0xFF (NaN as a float) on the emulator and unspecified on a GPU.
// `what` names it in errors.
absl::StatusOr<void*> Allocate(const std::string& what, int64_t bytes);
void Free(void* memory);

// Page-locked host memory, for copies that overlap.
absl::StatusOr<void*> AllocatePinned(const std::string& what, int64_t bytes);
void FreePinned(void* memory);

// A cudaStream_t as a void*, as Context carries it.
absl::StatusOr<void*> CreateStream();
void DestroyStream(void* stream);

// In the stream's order. The host memory must stay until Synchronize(stream).
absl::Status CopyToDevice(void* device, const void* host, int64_t bytes, void* stream);
absl::Status CopyToHost(void* host, const void* device, int64_t bytes, void* stream);
absl::Status FillZero(void* device, int64_t bytes, void* stream);
// As a kernel would: an error surfaces at the next Synchronize().
void CopyOnDevice(void* to, const void* from, int64_t bytes, void* stream);

// A moment in a stream's order: that at which all is done that the stream was given before. What `stream` is given behind
// WaitForEvent() begins after that moment, on the device: no thread waits. Errors surface at the next Synchronize().
void* RecordEvent(void* stream);
void WaitForEvent(void* stream, void* event);
void DestroyEvent(void* event);

// A CUDA graph: what the stream is given between the two is not run, but kept with all its arguments, to be run as a whole by
// LaunchGraph(), any number of times. Nothing may wait for the stream meanwhile. Errors of EndCapture(): something in between
// cannot be captured.
absl::Status BeginCapture(void* stream);
absl::StatusOr<void*> EndCapture(void* stream);
absl::Status LaunchGraph(void* graph, void* stream);
void DestroyGraph(void* graph);

// Waits for the stream; the first error of any kernel or copy on it since the last call.
absl::Status Synchronize(void* stream);

}  // namespace ingot::cuda
