#pragma once
// The GPUs that this build can see.
#include <cstdint>
#include <string>
#include <vector>

namespace ingot {

struct GpuInfo {
  std::string name;  // "NVIDIA H100 80GB HBM3"
  int64_t memory_bytes = 0;
  int compute_capability = 0;  // 90 for 9.0
  int multiprocessors = 0;
};

struct GpuReport {
  std::vector<GpuInfo> gpus;
  std::string runtime;  // "CUDA runtime 13.0", or why there is none
};

// Never fails: a build without CUDA or a machine without a driver says so in `runtime`.
GpuReport ListGpus();

}  // namespace ingot
