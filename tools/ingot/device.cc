#include "tools/ingot/device.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "kernels/cuda/devices.h"
#include "kernels/cuda/runtime.h"

namespace ingot {

void AddDeviceOption(CLI::App& command, std::string& device) {
  command
      .add_option("--device", device,
                  "Where to compute: cpu or cuda; default: cuda where a GPU is present, else cpu. Without a GPU's "
                  "toolkit in the build, cuda runs the same kernels on an emulator, far slower")
      ->check(CLI::IsMember({"cpu", "cuda"}));
}

Device DeviceOf(const std::string& device) {
  const bool cuda = device.empty() ? !ListGpus().gpus.empty() : device == "cuda";
  if (cuda && cuda::IsEmulated()) {
    std::fprintf(stderr, "note: this build has no CUDA toolkit: its kernels run on the emulator\n");
  }
  return cuda ? Device::kCuda : Device::kCpu;
}

void AddPrecisionOption(CLI::App& command, std::string& precision) {
  command
      .add_option("--precision", precision,
                  "Number format of products and activations: fp32 or, on cuda, bf16; default: bf16 on cuda, else fp32")
      ->check(CLI::IsMember({"fp32", "bf16"}));
}

DType PrecisionOf(const std::string& precision, Device device) {
  const bool bf16 = precision.empty() ? device == Device::kCuda : precision == "bf16";
  return bf16 ? DType::kBf16 : DType::kF32;
}

}  // namespace ingot
