#pragma once
#include <functional>

namespace ingot {

// Calls body() once for each order that a CUDA device may run threads in: under every schedule of the emulator, or a few
// times on a GPU.
void ForEachSchedule(const std::function<void()>& body);

}  // namespace ingot
