#pragma once
// The host side of Launch() in the GPU build, free of CUDA's headers.
#include <cstddef>

namespace ingot::cuda {

struct Extent {
  unsigned x = 1, y = 1, z = 1;
};

// Starts a kernel, after raising its limit of dynamic shared memory where it needs more than 48 KiB. `arguments` are
// pointers to the values in the order of the parameters.
void LaunchKernel(const void* kernel, Extent grid, Extent block, size_t shared_bytes, void* stream, void** arguments);

}  // namespace ingot::cuda
