// Products on a GPU: by cuBLASLt where it is found, else by our plain tiled kernel, which gives right results at a small
// part of a tensor core's speed. INGOT_GEMM=tiled takes the latter in any case.
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/gemm_cublaslt.h"
#include "kernels/cuda/gemm_tiled.h"

namespace ingot::cuda {
namespace {

struct Library {
  bool is_cublaslt;
  std::string name;
};

Library Choose() {
  const char* const wish = std::getenv("INGOT_GEMM");
  if (wish != nullptr && std::string(wish) == "tiled") return {false, "our own tiled kernel: INGOT_GEMM=tiled"};
  const absl::StatusOr<std::string> name = CublasLtName();
  if (name.ok()) return {true, *name};
  return {false, absl::StrCat("our own tiled kernel, without tensor cores: ", std::string(name.status().message()))};
}

const Library& Chosen() {
  static const Library* const library = new Library(Choose());
  return *library;
}

}  // namespace

std::string GemmLibrary() { return Chosen().name; }

int64_t GemmWorkspaceBytes() { return Chosen().is_cublaslt ? CublasLtWorkspaceBytes() : 0; }

void RunGemm(const Gemm& gemm, void* workspace, void* stream) {
  Chosen().is_cublaslt ? RunCublasLtGemm(gemm, workspace, stream) : RunTiledGemm(gemm, stream);
}

}  // namespace ingot::cuda
