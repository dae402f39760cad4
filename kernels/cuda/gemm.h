#pragma once
// The one matrix product of the CUDA ops. Two bodies: cuBLASLt or a kernel of our own on a GPU (gemm_gpu.cc), the CPU's
// BLAS on the emulator (gemm_emulator.cc). Here M, N and K keep their BLAS meaning.
#include <cstdint>
#include <functional>
#include <string>

#include "core/base/tensor.h"

namespace ingot::cuda {

// What a product does with z[m,n] before it rounds it once into c. GELU is that of kernels/gelu.h.
enum class GemmEpilogue {
  kNone,          // c = z
  kGelu,          // aux = z, c = gelu(z), each rounded from the f32 z
  kGeluGradient,  // c = z * gelu'(aux)
};

// z[m,n] = alpha * sum_k op(a)[m,k] * op(b)[k,n] + beta * c[m,n] + bias[n]
// in device memory, row-major, op(x) = x or its transpose. a and b are both f32 or both bf16; c is f32 or of their type;
// bias is of c's type. Sums are f32. With beta = 0 the old c is not read. a_sums[m] = sum_k op(a)[m,k], of a weight gradient
// that of the bias. Epilogues and a_sums only where FusesEpilogue() has said so.
struct Gemm {
  Tensor a;          // (M, K), or (K, M) if transpose_a
  Tensor b;          // (K, N), or (N, K) if transpose_b
  Tensor c;          // (M, N)
  Tensor bias = {};  // (N)
  bool transpose_a = false;
  bool transpose_b = false;
  float alpha = 1;
  float beta = 0;
  GemmEpilogue epilogue = GemmEpilogue::kNone;
  Tensor aux = {};     // (M, N) of c's type
  Tensor a_sums = {};  // (M) f32  =
  bool fuses() const { return epilogue != GemmEpilogue::kNone || !a_sums.absent(); }
  int64_t M() const { return c.dim(0); }
  int64_t N() const { return c.dim(1); }
  int64_t K() const { return a.dim(transpose_a ? 0 : 1); }
  void Check() const;
};

// What INGOT_GEMM asks for: nothing, "tiled" (the plain kernel of gemm_tiled.h) or "sm90" (the kernel of gemm_sm90.h for all
// products that it takes, without measuring).
enum class GemmWish { kNone, kTiled, kSm90 };
GemmWish WishedGemm();

// Whether products go to the kernel of gemm_sm90.h wherever it takes them: the device is of compute capability 9.0 and
// INGOT_GEMM=sm90, or there is no cuBLASLt to be measured beside it. The emulator, whose times say nothing, needs to be asked.
bool PrefersGemmSm90();

// Which body computes: "cuBLASLt 13.1.0, FILE", "our own tiled kernel, without tensor cores: WHY", or the emulator's.
std::string GemmLibrary();

// Device memory that an op lends to its products, as part of its CudaScratchBytes(); one product at a time uses it.
int64_t GemmWorkspaceBytes();

// Whether RunGemm() is to be given a product with an epilogue or a_sums, or else without them, and `behind` to follow, which
// enqueues the kernels that make them from the product. Where plans are searched for, both are measured when the product is
// first seen; behind() is then run on whatever its operands hold. bf16 only.
bool FusesEpilogue(const Gemm& gemm, const std::function<void()>& behind, void* workspace, void* stream);

// In the stream's order. `workspace` has GemmWorkspaceBytes() bytes.
void RunGemm(const Gemm& gemm, void* workspace, void* stream);

}  // namespace ingot::cuda
