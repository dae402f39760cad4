#include "tools/ingot/spec_peak.h"

#include <utility>

namespace ingot {

// The data sheets of NVIDIA's A100, H100 and H200, without sparsity. The first part that fits counts.
double SpecPeakFlops(const std::string& gpu_name) {
  const std::pair<const char*, double> peaks[] = {
      {"H100 PCIe", 756e12}, {"H100 NVL", 835e12}, {"H100", 989.4e12}, {"H200", 989.4e12}, {"A100", 312e12}};
  for (const auto& [part, flops] : peaks) {
    if (gpu_name.find(part) != std::string::npos) return flops;
  }
  return 0;
}

}  // namespace ingot
