#pragma once
// The product of 8-bit operands by a kernel of our own for sm_90a (H100, H200). Any other GPU refuses it; the emulator runs
// it.
#include "kernels/cuda/gemm_fp8.h"

namespace ingot::cuda {

// As RunGemmFp8(), where HasSm90(). A product whose values do not begin at multiples of 16 bytes is a programmer's error.
void RunGemmFp8Sm90(const GemmFp8& gemm, void* stream);

}  // namespace ingot::cuda
