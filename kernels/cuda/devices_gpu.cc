#include <cuda_runtime_api.h>

#include "kernels/cuda/devices.h"

namespace ingot {

GpuReport ListGpus() {
  GpuReport report;
  int version = 0, count = 0;
  cudaRuntimeGetVersion(&version);
  report.runtime = "CUDA runtime " + std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
  if (const cudaError_t error = cudaGetDeviceCount(&count); error != cudaSuccess) {
    report.runtime += std::string(", no GPU: ") + cudaGetErrorString(error);
    return report;
  }
  for (int device = 0; device < count; ++device) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) continue;
    report.gpus.push_back({.name = properties.name,
                           .memory_bytes = static_cast<int64_t>(properties.totalGlobalMem),
                           .compute_capability = properties.major * 10 + properties.minor,
                           .multiprocessors = properties.multiProcessorCount});
  }
  return report;
}

}  // namespace ingot
