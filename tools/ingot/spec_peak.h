#pragma once
#include <string>

namespace ingot {

// FLOP/s that a GPU's maker states for dense bf16 products (not the sparse figure), by its name as the driver gives it;
// 0 if it is none of those known here. LLMQ's "speed of light" is this times tokens over FLOPs.
double SpecPeakFlops(const std::string& gpu_name);

}  // namespace ingot
