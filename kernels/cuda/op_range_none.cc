// Builds without CUDA or without NVTX's headers.
#include "kernels/cuda/op_range.h"

namespace ingot::cuda {

OpRange::OpRange(const char* /*name*/) {}
OpRange::~OpRange() = default;

}  // namespace ingot::cuda
