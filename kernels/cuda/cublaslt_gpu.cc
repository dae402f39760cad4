#include "kernels/cuda/cublaslt_gpu.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"

namespace ingot::cuda {
namespace {

std::vector<std::string> Candidates() {
  if (const char* const wish = std::getenv("INGOT_CUBLASLT"); wish != nullptr) return {wish};
  const std::string name = absl::StrCat("libcublasLt.so.", CUBLAS_VER_MAJOR);
  std::error_code ignored;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  return {name, (program.parent_path() / "lib" / name).string(), absl::StrCat(INGOT_CUBLASLT_DIRECTORY, "/", name),
          absl::StrCat("/usr/local/cuda/lib64/", name)};
}

template <typename F>
absl::Status Resolve(void* library, const char* name, F*& function) {
  function = reinterpret_cast<F*>(dlsym(library, name));
  if (function != nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("libcublasLt has no ", name));
}

absl::Status ResolveAll(void* library, CublasLt& lt) {
  INGOT_RETURN_IF_ERROR(Resolve(library, "cublasLtCreate", lt.Create));
  INGOT_RETURN_IF_ERROR(Resolve(library, "cublasLtGetVersion", lt.GetVersion));
  INGOT_RETURN_IF_ERROR(Resolve(library, "cublasLtGetStatusString", lt.GetStatusString));
  INGOT_RETURN_IF_ERROR(Resolve(library, "cublasLtMatmul", lt.Matmul));
  INGOT_RETURN_IF_ERROR(Resolve(library, "cublasLtMatmulAlgoGetHeuristic", lt.MatmulAlgoGetHeuristic));
  INGOT_RETURN_IF_ERROR(Resolve(library, "cublasLtMatmulDescCreate", lt.MatmulDescCreate));
  INGOT_RETURN_IF_ERROR(Resolve(library, "cublasLtMatmulDescDestroy", lt.MatmulDescDestroy));
  INGOT_RETURN_IF_ERROR(Resolve(library, "cublasLtMatmulDescSetAttribute", lt.MatmulDescSetAttribute));
  INGOT_RETURN_IF_ERROR(Resolve(library, "cublasLtMatmulPreferenceCreate", lt.MatmulPreferenceCreate));
  INGOT_RETURN_IF_ERROR(Resolve(library, "cublasLtMatmulPreferenceDestroy", lt.MatmulPreferenceDestroy));
  INGOT_RETURN_IF_ERROR(Resolve(library, "cublasLtMatmulPreferenceSetAttribute", lt.MatmulPreferenceSetAttribute));
  INGOT_RETURN_IF_ERROR(Resolve(library, "cublasLtMatrixLayoutCreate", lt.MatrixLayoutCreate));
  return Resolve(library, "cublasLtMatrixLayoutDestroy", lt.MatrixLayoutDestroy);
}

absl::StatusOr<CublasLt> Open() {
  std::vector<std::string> problems;
  for (const std::string& path : Candidates()) {
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      problems.emplace_back(dlerror());
      continue;
    }
    CublasLt lt;
    INGOT_RETURN_IF_ERROR(ResolveAll(library, lt));
    Dl_info where;
    lt.path = dladdr(reinterpret_cast<void*>(lt.Matmul), &where) != 0 ? where.dli_fname : path;
    const size_t version = lt.GetVersion();
    lt.version = absl::StrCat(version / 10000, ".", version / 100 % 100, ".", version % 100);
    if (version / 10000 == CUBLAS_VER_MAJOR) return lt;
    return absl::FailedPreconditionError(
        absl::StrCat(lt.path, " is version ", lt.version, "; this build works with ", CUBLAS_VER_MAJOR, ".x"));
  }
  return absl::NotFoundError(
      absl::StrCat("no libcublasLt (", absl::StrJoin(problems, "; "), "); INGOT_CUBLASLT=FILE names one"));
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
