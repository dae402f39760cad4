#include "kernels/cuda/cublaslt_gpu.h"

#include "absl/strings/str_cat.h"
#include "core/base/shared_library.h"
#include "core/base/status_macros.h"

namespace ingot::cuda {
namespace {

absl::Status ResolveAll(const SharedLibrary& library, CublasLt& lt) {
  INGOT_RETURN_IF_ERROR(library.Resolve("cublasLtCreate", lt.Create));
  INGOT_RETURN_IF_ERROR(library.Resolve("cublasLtGetVersion", lt.GetVersion));
  INGOT_RETURN_IF_ERROR(library.Resolve("cublasLtGetStatusString", lt.GetStatusString));
  INGOT_RETURN_IF_ERROR(library.Resolve("cublasLtMatmul", lt.Matmul));
  INGOT_RETURN_IF_ERROR(library.Resolve("cublasLtMatmulAlgoGetHeuristic", lt.MatmulAlgoGetHeuristic));
  INGOT_RETURN_IF_ERROR(library.Resolve("cublasLtMatmulDescCreate", lt.MatmulDescCreate));
  INGOT_RETURN_IF_ERROR(library.Resolve("cublasLtMatmulDescDestroy", lt.MatmulDescDestroy));
  INGOT_RETURN_IF_ERROR(library.Resolve("cublasLtMatmulDescSetAttribute", lt.MatmulDescSetAttribute));
  INGOT_RETURN_IF_ERROR(library.Resolve("cublasLtMatmulPreferenceCreate", lt.MatmulPreferenceCreate));
  INGOT_RETURN_IF_ERROR(library.Resolve("cublasLtMatmulPreferenceDestroy", lt.MatmulPreferenceDestroy));
  INGOT_RETURN_IF_ERROR(library.Resolve("cublasLtMatmulPreferenceSetAttribute", lt.MatmulPreferenceSetAttribute));
  INGOT_RETURN_IF_ERROR(library.Resolve("cublasLtMatrixLayoutCreate", lt.MatrixLayoutCreate));
  return library.Resolve("cublasLtMatrixLayoutDestroy", lt.MatrixLayoutDestroy);
}

absl::StatusOr<CublasLt> Open() {
  INGOT_ASSIGN_OR_RETURN(const SharedLibrary library,
                         SharedLibrary::Open(absl::StrCat("libcublasLt.so.", CUBLAS_VER_MAJOR), "INGOT_CUBLASLT",
                                             {INGOT_CUBLASLT_DIRECTORY, "/usr/local/cuda/lib64"}));
  CublasLt lt;
  INGOT_RETURN_IF_ERROR(ResolveAll(library, lt));
  lt.path = library.path();
  const size_t version = lt.GetVersion();
  lt.version = absl::StrCat(version / 10000, ".", version / 100 % 100, ".", version % 100);
  if (version / 10000 == CUBLAS_VER_MAJOR) return lt;
  return absl::FailedPreconditionError(
      absl::StrCat(lt.path, " is version ", lt.version, "; this build works with ", CUBLAS_VER_MAJOR, ".x"));
}

}  // namespace

absl::Status CublasLt::Check(cublasStatus_t status, const char* what) const {
  if (status == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cuBLASLt, ", what, ": ", GetStatusString(status)));
}

const absl::StatusOr<CublasLt>& OpenCublasLt() {
  static const auto* const library = new absl::StatusOr<CublasLt>(Open());  // never closed
  return *library;
}

}  // namespace ingot::cuda
