#pragma once
// A matrix product by a plain kernel of our own, for a build without a vendor's library: fp32 multiply-adds on tiles in
// shared memory, no tensor cores.
#include "kernels/cuda/gemm.h"

namespace ingot::cuda {

// As RunGemm(). The order of each sum is that of k: the same bits on every device.
void RunTiledGemm(const Gemm& gemm, void* stream);

}  // namespace ingot::cuda
