#include "core/base/check.h"
#include "kernels/cuda/gemm_cublaslt.h"

namespace ingot::cuda {

absl::StatusOr<std::string> CublasLtName() {
  return absl::UnimplementedError("this build was made without cuBLASLt's header");
}

int64_t CublasLtWorkspaceBytes() { return 0; }

void RunCublasLtGemm(const Gemm& /*gemm*/, void* /*workspace*/, void* /*stream*/) {
  INGOT_CHECK(false, "this build has no cuBLASLt");
}

bool CublasLtFusesEpilogue(const Gemm& /*gemm*/, const std::function<void()>& /*behind*/, void* /*workspace*/,
                           void* /*stream*/) {
  return false;
}

}  // namespace ingot::cuda
