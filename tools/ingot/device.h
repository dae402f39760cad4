#pragma once
// --device of the subcommands that compute.
#include <string>

#include "core/base/dtype.h"
#include "kernels/context.h"

namespace CLI {
class App;
}

namespace ingot {

// Adds `--device cpu|cuda` to `command`. Left out, it is cuda where a GPU is present, else cpu.
void AddDeviceOption(CLI::App& command, std::string& device);
Device DeviceOf(const std::string& device);

// Adds `--precision fp32|bf16`. Left out, it is fp32 on the CPU and bf16 on CUDA.
void AddPrecisionOption(CLI::App& command, std::string& precision);
DType PrecisionOf(const std::string& precision, Device device);

}  // namespace ingot
