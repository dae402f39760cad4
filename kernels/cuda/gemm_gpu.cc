// Products on a GPU: by cuBLASLt where it is found, beside which our own kernel for sm_90a is a candidate; without it by that
// kernel alone, and what it does not take by our plain tiled kernel, which gives right results at a small part of a tensor
// core's speed. INGOT_GEMM=sm90 or tiled takes these in any case.
#include "absl/strings/str_cat.h"
#include "kernels/cuda/gemm_cublaslt.h"
#include "kernels/cuda/gemm_sm90.h"
#include "kernels/cuda/gemm_tiled.h"
#include "kernels/cuda/tensor_map.h"

namespace ingot::cuda {
namespace {

struct Library {
  bool is_cublaslt = false;
  bool prefers_sm90 = false;
  std::string name;
};

Library Choose() {
  Library library;
  library.name = "our own tiled kernel: INGOT_GEMM=tiled";
  if (WishedGemm() == GemmWish::kTiled) return library;
  const absl::StatusOr<std::string> name = CublasLtName();
  library.is_cublaslt = name.ok();
  library.prefers_sm90 = HasSm90() && (WishedGemm() == GemmWish::kSm90 || !name.ok());
  const std::string why = name.ok() ? *name : std::string(name.status().message());
  if (library.prefers_sm90) {
    library.name = absl::StrCat("our own kernel for sm_90a; beside it ", why);
  } else {
    library.name = name.ok() ? why : absl::StrCat("our own tiled kernel, without tensor cores: ", why);
  }
  return library;
}

const Library& Chosen() {
  static const Library* const library = new Library(Choose());
  return *library;
}

}  // namespace

bool PrefersGemmSm90() { return Chosen().prefers_sm90; }

std::string GemmLibrary() { return Chosen().name; }

int64_t GemmWorkspaceBytes() { return Chosen().is_cublaslt ? CublasLtWorkspaceBytes() : 0; }

bool FusesEpilogue(const Gemm& gemm, const std::function<void()>& behind, void* workspace, void* stream) {
  const bool measures = Chosen().is_cublaslt && !PrefersGemmSm90();
  return measures && gemm.a.dtype == DType::kBf16 && CublasLtFusesEpilogue(gemm, behind, workspace, stream);
}

void RunGemm(const Gemm& gemm, void* workspace, void* stream) {
  if (PrefersGemmSm90() && TakesGemmSm90(gemm)) return RunGemmSm90(gemm, stream);
  Chosen().is_cublaslt ? RunCublasLtGemm(gemm, workspace, stream) : RunTiledGemm(gemm, stream);
}

}  // namespace ingot::cuda
