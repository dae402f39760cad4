#pragma once
// A grid: blocks one after another in the schedule's order, each run to its end.
#include <cstddef>
#include <cstdint>

#include "kernels/emulator/thread.h"

namespace ingot::emulator {

// Limits of sm_90: a block's shared memory with the opt-in above 48 KiB.
inline constexpr size_t kMaxSharedBytes = 232448;

struct Grid {
  dim3 grid;
  dim3 block;
  size_t shared_bytes = 0;
  void* stream = nullptr;
};

// Calls call(context) once in every thread of the grid. Errors: a grid or block of impossible size, too much shared
// memory. Host code that runs the same device function again waits until this launch has ended.
void RunGrid(const Grid& grid, void (*call)(const void* context), const void* context);

}  // namespace ingot::emulator
