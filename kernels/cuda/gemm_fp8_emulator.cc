// Products of 8-bit operands on the emulated device: the CPU's BLAS on their values, or the kernel for sm_90a where INGOT_GEMM
// asks for it.
#include <vector>

#include "kernels/cuda/gemm.h"
#include "kernels/cuda/gemm_fp8_sm90.h"
#include "kernels/cuda/widened_product_emulator.h"
#include "kernels/emulator/stream.h"
#include "kernels/fp8_matrix.h"

namespace ingot::cuda {
namespace {

// Scales are powers of two: nothing is rounded.
std::vector<float> Scaled(const Fp8Operand& x) {
  constexpr int64_t kBlock = Fp8Matrix::kBlock;
  std::vector<float> values = Widened(x.values);
  const int64_t M = x.values.dim(0), K = x.values.dim(1);
  for (int64_t m = 0; m < M; ++m) {
    const float* const scales = x.scales + m / kBlock * x.stride_m;
    for (int64_t k = 0; k < K; ++k) values[m * K + k] *= scales[k / kBlock * x.stride_k];
  }
  return values;
}

void Compute(const GemmFp8& gemm) {
  const std::vector<float> a = Scaled(gemm.a), b = Scaled(gemm.b), bias = Widened(gemm.bias);
  std::vector<float> c = gemm.beta == 0 ? std::vector<float>(Count(gemm.c)) : Widened(gemm.c);
  const int64_t M = gemm.M(), N = gemm.N();
  Multiply({.a = a, .b = b, .c = c, .M = M, .N = N, .K = gemm.K(), .transpose_b = true, .beta = gemm.beta});
  for (int64_t i = 0; i < M * N; ++i) StoreElement(gemm.c, i, bias.empty() ? c[i] : c[i] + bias[i % N]);
}

}  // namespace

// The CPU computes these products whatever the emulated device is said to be capable of.
const char* WhyNoFp8() { return ""; }

void RunGemmFp8(const GemmFp8& gemm, void* stream) {
  if (PrefersGemmSm90()) return RunGemmFp8Sm90(gemm, stream);
  gemm.Check();
  emulator::Enqueue(stream, [gemm] { Compute(gemm); });
}

}  // namespace ingot::cuda
