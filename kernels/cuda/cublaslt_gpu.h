#pragma once
// libcublasLt, opened when the program runs: the program starts where there is none, and carries none with it.
#include <cublasLt.h>

#include <string>

#include "absl/status/statusor.h"

namespace ingot::cuda {

// Its functions, under the names of its header without the prefix.
struct CublasLt {
  std::string path;     // of the file that was opened
  std::string version;  // "13.1.0"
  decltype(&cublasLtCreate) Create;
  decltype(&cublasLtGetVersion) GetVersion;
  decltype(&cublasLtGetStatusString) GetStatusString;
  decltype(&cublasLtMatmul) Matmul;
  decltype(&cublasLtMatmulAlgoGetHeuristic) MatmulAlgoGetHeuristic;
  decltype(&cublasLtMatmulDescCreate) MatmulDescCreate;
  decltype(&cublasLtMatmulDescDestroy) MatmulDescDestroy;
  decltype(&cublasLtMatmulDescSetAttribute) MatmulDescSetAttribute;
  decltype(&cublasLtMatmulPreferenceCreate) MatmulPreferenceCreate;
  decltype(&cublasLtMatmulPreferenceDestroy) MatmulPreferenceDestroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) MatmulPreferenceSetAttribute;
  decltype(&cublasLtMatrixLayoutCreate) MatrixLayoutCreate;
  decltype(&cublasLtMatrixLayoutDestroy) MatrixLayoutDestroy;

  absl::Status Check(cublasStatus_t status, const char* what) const;
};

// The library of this process, opened at the first call. Looked for in the file that INGOT_CUBLASLT names; else where
// the system's loader looks, in lib/ beside the program, where it lay when the program was built, and in
// /usr/local/cuda/lib64. Errors: none found, or another major version than the header that this was built with.
const absl::StatusOr<CublasLt>& OpenCublasLt();

}  // namespace ingot::cuda
