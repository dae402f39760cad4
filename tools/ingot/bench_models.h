#pragma once
// Models whose ops `ingot bench kernels` runs.
#include <vector>

#include "tools/ingot/bench_cases.h"

namespace ingot {

const std::vector<BenchModel>& CpuModels();  // GPT-2 124M and a llama of 10M, small batches
const std::vector<BenchModel>&
GpuModels();  // GPT-2 124M, Qwen2.5 0.5B and 1.5B, the micro-batches of docs/performance.md
const std::vector<BenchModel>& GpuCheckModels();  // the same with batches that a CPU gets through
const std::vector<BenchModel>& TinyModels();      // what the emulator gets through in seconds

}  // namespace ingot
