#pragma once
// Matrix products by cuBLASLt, each by a plan that is searched for when its shape is first seen. In a build without the
// library's header (gemm_cublaslt_absent_gpu.cc) the library is never there.
#include <string>

#include "absl/status/statusor.h"
#include "kernels/cuda/gemm.h"

namespace ingot::cuda {

// "cuBLASLt 13.1.0, FILE", or why there is none. Opens the library.
absl::StatusOr<std::string> CublasLtName();

int64_t CublasLtWorkspaceBytes();

// As RunGemm(). Failures are kept for Synchronize().
void RunCublasLtGemm(const Gemm& gemm, void* workspace, void* stream);

// As FusesEpilogue().
bool CublasLtFusesEpilogue(const Gemm& gemm, const std::function<void()>& behind, void* workspace, void* stream);

}  // namespace ingot::cuda
