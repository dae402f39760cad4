#pragma once
// What a kernel's code can see of the thread, the block and the grid it runs in.
#include <cstddef>
#include <cstdint>

// CUDA's own names, since kernels use them in both builds.
struct uint3 {
  uint32_t x = 0, y = 0, z = 0;
};
struct dim3 {
  uint32_t x = 1, y = 1, z = 1;
  constexpr dim3(uint32_t x_size = 1, uint32_t y_size = 1, uint32_t z_size = 1)  // NOLINT: converts, as CUDA's does
      : x(x_size), y(y_size), z(z_size) {}
};

namespace ingot::emulator {

inline constexpr int kWarp = 32;
inline constexpr int kWarpgroup = 128;
inline constexpr int kMaxThreads = 1024;

struct ThreadView {
  uint3 index;     // threadIdx
  int linear = 0;  // x + y * blockDim.x + z * blockDim.x * blockDim.y
};

struct BlockView {
  uint3 index;  // blockIdx
  dim3 size;    // blockDim
  dim3 grid;    // gridDim
  unsigned char* shared = nullptr;
  size_t shared_bytes = 0;
};

// Of the thread that runs now; null in host code. One launch runs at a time (launch.cc).
extern ThreadView* current_thread;
extern BlockView current_block;

}  // namespace ingot::emulator
