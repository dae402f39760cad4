#pragma once
// Whether a product and SwiGLU are one kernel or two.
#include <functional>

#include "kernels/cuda/gemm_sm90.h"

namespace ingot::cuda {

// Whether RunSwigluGemmSm90() is to do what `parts` does, which enqueues RunGemm() and SwigluForward on the same tensors. Where
// plans are searched for, both are measured when the shape is first seen, and the faster one is that shape's plan;
// the outputs are overwritten then. Failures are kept for Synchronize().
bool FusesSwiglu(const SwigluGemm& gemm, const std::function<void()>& parts, void* stream);

}  // namespace ingot::cuda
