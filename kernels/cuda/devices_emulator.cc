#include "kernels/cuda/devices.h"

namespace ingot {

GpuReport ListGpus() { return {.gpus = {}, .runtime = "emulator; this build has no CUDA"}; }

}  // namespace ingot
