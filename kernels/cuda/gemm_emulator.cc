// Products of the emulated device: the CPU's BLAS on operands widened to fp32, or the kernels that INGOT_GEMM asks for.
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "kernels/cpu/vector_math.h"
#include "kernels/cuda/gemm_plans.h"
#include "kernels/cuda/gemm_sm90.h"
#include "kernels/cuda/gemm_tiled.h"
#include "kernels/cuda/tensor_map.h"
#include "kernels/cuda/widened_product_emulator.h"
#include "kernels/emulator/stream.h"

namespace ingot::cuda {
namespace {

// 2u of kernels/gelu.h: 0.5 * (1 + tanh u) is the sigmoid of it.
float TwoU(float x) { return 1.5957691216f * x * (1.0f + 0.044715f * x * x); }
float Gelu(float x) { return x * Sigmoid(TwoU(x)); }
float GeluGradient(float x) {
  const SigmoidParts s = SigmoidAndComplement(TwoU(x));
  return s.value + x * s.value * s.complement * 1.5957691216f * (1.0f + 3.0f * 0.044715f * x * x);
}

void SumOverK(const Gemm& gemm, const std::vector<float>& a) {
  const int64_t M = gemm.M(), K = gemm.K();
  for (int64_t m = 0; m < M; ++m) {
    double sum = 0;
    for (int64_t k = 0; k < K; ++k) sum += static_cast<double>(a[gemm.transpose_a ? k * M + m : m * K + k]);
    gemm.a_sums.data<float>()[m] = static_cast<float>(sum);
  }
}

void Compute(const Gemm& gemm) {
  const std::vector<float> a = Widened(gemm.a), b = Widened(gemm.b), bias = Widened(gemm.bias);
  const std::vector<float> aux =
      gemm.epilogue == GemmEpilogue::kGeluGradient ? Widened(gemm.aux) : std::vector<float>();
  std::vector<float> c = gemm.beta == 0 ? std::vector<float>(Count(gemm.c)) : Widened(gemm.c);
  const int64_t M = gemm.M(), N = gemm.N();
  Multiply({.a = a,
            .b = b,
            .c = c,
            .M = M,
            .N = N,
            .K = gemm.K(),
            .transpose_a = gemm.transpose_a,
            .transpose_b = gemm.transpose_b,
            .alpha = gemm.alpha,
            .beta = gemm.beta});
  for (int64_t i = 0; i < M * N; ++i) {
    float z = bias.empty() ? c[i] : c[i] + bias[i % N];
    if (gemm.epilogue == GemmEpilogue::kGelu) {
      StoreElement(gemm.aux, i, z);
      z = Gelu(z);
    }
    if (gemm.epilogue == GemmEpilogue::kGeluGradient) z *= GeluGradient(aux[i]);
    StoreElement(gemm.c, i, z);
  }
  if (!gemm.a_sums.absent()) SumOverK(gemm, a);
}

bool IsSeenFirst(const std::string& key) {
  static std::mutex mutex;
  static std::set<std::string>* const seen = new std::set<std::string>();  // outlives every thread
  const std::lock_guard lock(mutex);
  return seen->insert(key).second;
}

}  // namespace

bool PrefersGemmSm90() { return WishedGemm() == GemmWish::kSm90 && HasSm90(); }

std::string GemmLibrary() {
  if (WishedGemm() == GemmWish::kTiled) return "our own tiled kernel: INGOT_GEMM=tiled";
  const std::string blas = "the CPU's BLAS, on operands widened to f32";
  return PrefersGemmSm90() ? "our own kernel for sm_90a; beside it " + blas : blas;
}

int64_t GemmWorkspaceBytes() { return 0; }

// The vendor's library would; what it is measured beside is run as well, which must change nothing.
bool FusesEpilogue(const Gemm& gemm, const std::function<void()>& behind, void* /*workspace*/, void* /*stream*/) {
  if (WishedGemm() != GemmWish::kNone || gemm.a.dtype != DType::kBf16) return false;
  if (IsSeenFirst(PlanKey(gemm))) behind();
  return true;
}

void RunGemm(const Gemm& gemm, void* /*workspace*/, void* stream) {
  gemm.Check();
  if (WishedGemm() == GemmWish::kTiled) return RunTiledGemm(gemm, stream);
  if (PrefersGemmSm90() && TakesGemmSm90(gemm)) return RunGemmSm90(gemm, stream);
  emulator::Enqueue(stream, [gemm] { Compute(gemm); });
}

}  // namespace ingot::cuda
