// The CUDA runtime of a build with CUDA. Every call is checked; what a launch or a copy reports is kept until the next
// Synchronize, so that the first failure is the one that is told.
#include <cuda_runtime_api.h>

#include <atomic>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "kernels/cuda/gpu_failure.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/runtime.h"

namespace ingot::cuda {
namespace {

constexpr int kOldestArchitecture = 80;            // compute capability 8.0: bf16 tensor cores, cp.async
constexpr size_t kSharedWithoutOptIn = 48 * 1024;  // more needs an attribute of the kernel

absl::Status FromCuda(cudaError_t error, const std::string& what) {
  if (error == cudaSuccess) return absl::OkStatus();
  const std::string text = absl::StrCat(what, ": ", cudaGetErrorString(error), " (", cudaGetErrorName(error), ")");
  return error == cudaErrorMemoryAllocation ? absl::ResourceExhaustedError(text) : absl::InternalError(text);
}

std::atomic<int> local_rank{0};
std::atomic<int> selected_device{0};

std::mutex first_failure_mutex;
absl::Status first_failure;

cudaStream_t AsStream(void* stream) { return static_cast<cudaStream_t>(stream); }

}  // namespace

void KeepFailure(const absl::Status& status) {
  const std::lock_guard lock(first_failure_mutex);
  if (first_failure.ok()) first_failure = status;
}

bool IsEmulated() { return false; }

void SetLocalRank(int rank) { local_rank = rank; }

int OwnDevice() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count == 1 ? 0 : local_rank.load();
}

absl::StatusOr<std::string> SelectDevice(int index) {
  int count = 0;
  INGOT_RETURN_IF_ERROR(FromCuda(cudaGetDeviceCount(&count), "no GPU can be used; device \"cpu\" needs none"));
  if (index < 0 || index >= count) {
    return absl::NotFoundError(absl::StrCat("GPU ", index, " was asked for; this machine has ", count,
                                            " that CUDA_VISIBLE_DEVICES shows, counted from 0"));
  }
  cudaDeviceProp properties;
  INGOT_RETURN_IF_ERROR(FromCuda(cudaGetDeviceProperties(&properties, index), absl::StrCat("GPU ", index)));
  const int architecture = properties.major * 10 + properties.minor;
  if (architecture < kOldestArchitecture) {
    return absl::FailedPreconditionError(absl::StrCat("GPU ", index, " (", properties.name, ") has compute capability ",
                                                      properties.major, ".", properties.minor,
                                                      "; 8.0 is the oldest that works"));
  }
  INGOT_RETURN_IF_ERROR(FromCuda(cudaSetDevice(index), absl::StrCat("GPU ", index)));
  selected_device = index;
  int version = 0;
  INGOT_RETURN_IF_ERROR(FromCuda(cudaRuntimeGetVersion(&version), "CUDA runtime"));
  return absl::StrCat(properties.name, ", CUDA runtime ", version / 1000, ".", version % 1000 / 10);
}

void UseDevice() { KeepFailure(FromCuda(cudaSetDevice(selected_device), "the GPU of this process")); }

absl::StatusOr<int64_t> FreeBytes() {
  size_t free_bytes = 0, all_bytes = 0;
  INGOT_RETURN_IF_ERROR(FromCuda(cudaMemGetInfo(&free_bytes, &all_bytes), "free GPU memory"));
  return static_cast<int64_t>(free_bytes);
}

absl::StatusOr<void*> Allocate(const std::string& what, int64_t bytes) {
  void* memory = nullptr;
  INGOT_RETURN_IF_ERROR(FromCuda(cudaMalloc(&memory, static_cast<size_t>(bytes)),
                                 absl::StrCat(what, ", ", bytes, " bytes of GPU memory")));
  return memory;
}

void Free(void* memory) { KeepFailure(FromCuda(cudaFree(memory), "freeing GPU memory")); }

absl::StatusOr<void*> AllocatePinned(const std::string& what, int64_t bytes) {
  void* memory = nullptr;
  INGOT_RETURN_IF_ERROR(FromCuda(cudaMallocHost(&memory, static_cast<size_t>(bytes)),
                                 absl::StrCat(what, ", ", bytes, " bytes of pinned host memory")));
  return memory;
}

void FreePinned(void* memory) { KeepFailure(FromCuda(cudaFreeHost(memory), "freeing pinned host memory")); }

absl::StatusOr<void*> CreateStream() {
  cudaStream_t stream = nullptr;
  INGOT_RETURN_IF_ERROR(FromCuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a CUDA stream"));
  return static_cast<void*>(stream);
}

void DestroyStream(void* stream) { KeepFailure(FromCuda(cudaStreamDestroy(AsStream(stream)), "a CUDA stream")); }

absl::Status CopyToDevice(void* device, const void* host, int64_t bytes, void* stream) {
  return FromCuda(cudaMemcpyAsync(device, host, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, AsStream(stream)),
                  "copy to the GPU");
}

absl::Status CopyToHost(void* host, const void* device, int64_t bytes, void* stream) {
  return FromCuda(cudaMemcpyAsync(host, device, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, AsStream(stream)),
                  "copy from the GPU");
}

void CopyOnDevice(void* to, const void* from, int64_t bytes, void* stream) {
  KeepFailure(
      FromCuda(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, AsStream(stream)),
               "copy on the GPU"));
}

void* RecordEvent(void* stream) {
  cudaEvent_t event = nullptr;
  KeepFailure(FromCuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "a CUDA event"));
  if (event != nullptr) KeepFailure(FromCuda(cudaEventRecord(event, AsStream(stream)), "recording a CUDA event"));
  return event;
}

void WaitForEvent(void* stream, void* event) {
  if (event == nullptr) return;  // that it could not be made has been kept
  KeepFailure(
      FromCuda(cudaStreamWaitEvent(AsStream(stream), static_cast<cudaEvent_t>(event), 0), "waiting for an event"));
}

void DestroyEvent(void* event) {
  if (event != nullptr) KeepFailure(FromCuda(cudaEventDestroy(static_cast<cudaEvent_t>(event)), "a CUDA event"));
}

absl::Status FillZero(void* device, int64_t bytes, void* stream) {
  return FromCuda(cudaMemsetAsync(device, 0, static_cast<size_t>(bytes), AsStream(stream)), "filling GPU memory");
}

absl::Status BeginCapture(void* stream) {
  return FromCuda(cudaStreamBeginCapture(AsStream(stream), cudaStreamCaptureModeThreadLocal), "capturing a CUDA graph");
}

absl::StatusOr<void*> EndCapture(void* stream) {
  cudaGraph_t graph = nullptr;
  INGOT_RETURN_IF_ERROR(FromCuda(cudaStreamEndCapture(AsStream(stream), &graph), "capturing a CUDA graph"));
  cudaGraphExec_t executable = nullptr;
  const absl::Status made = FromCuda(cudaGraphInstantiate(&executable, graph, 0), "making a CUDA graph");
  KeepFailure(FromCuda(cudaGraphDestroy(graph), "a captured CUDA graph"));
  INGOT_RETURN_IF_ERROR(made);
  return static_cast<void*>(executable);
}

absl::Status LaunchGraph(void* graph, void* stream) {
  return FromCuda(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), AsStream(stream)), "launching a CUDA graph");
}

void DestroyGraph(void* graph) {
  KeepFailure(FromCuda(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)), "a CUDA graph"));
}

absl::Status Synchronize(void* stream) {
  const absl::Status now = FromCuda(cudaStreamSynchronize(AsStream(stream)), "GPU work");
  KeepFailure(now);
  const std::lock_guard lock(first_failure_mutex);
  const absl::Status told = first_failure;
  first_failure = absl::OkStatus();
  return told;
}

void LaunchKernel(const void* kernel, Extent grid, Extent block, size_t shared_bytes, void* stream, void** arguments) {
  if (shared_bytes > kSharedWithoutOptIn) {
    const cudaError_t error =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared_bytes));
    if (error != cudaSuccess)
      return KeepFailure(FromCuda(error, absl::StrCat("a kernel with ", shared_bytes, " bytes of shared memory")));
  }
  const cudaError_t error = cudaLaunchKernel(kernel, dim3{grid.x, grid.y, grid.z}, dim3{block.x, block.y, block.z},
                                             arguments, shared_bytes, AsStream(stream));
  INGOT_CHECK(error != cudaErrorInvalidConfiguration,
              "no GPU can launch a grid of %u x %u x %u blocks of %u x %u x %u threads", grid.x, grid.y, grid.z,
              block.x, block.y, block.z);
  KeepFailure(FromCuda(error, "launching a kernel"));
}

}  // namespace ingot::cuda
