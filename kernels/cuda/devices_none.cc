#include "kernels/cuda/devices.h"

namespace ingot {

GpuReport ListGpus() { return {.gpus = {}, .runtime = "built without CUDA"}; }

}  // namespace ingot
