// Products of 8-bit operands on a GPU: by our own kernel for sm_90a.
#include "kernels/cuda/gemm_fp8_sm90.h"
#include "kernels/cuda/tensor_map.h"

namespace ingot::cuda {

const char* WhyNoFp8() {
  return HasSm90()
             ? ""
             : "products of fp8 need a GPU of compute capability 9.0 (H100, H200) and a driver of CUDA 12 or later";
}

void RunGemmFp8(const GemmFp8& gemm, void* stream) { RunGemmFp8Sm90(gemm, stream); }

}  // namespace ingot::cuda
