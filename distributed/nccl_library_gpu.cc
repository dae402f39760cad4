#include "distributed/nccl_library_gpu.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr int kMajor = NCCL_MAJOR;

std::vector<std::string> Candidates() {
  if (const char* const wish = std::getenv("INGOT_NCCL"); wish != nullptr) return {wish};
  const std::string name = absl::StrCat("libnccl.so.", kMajor);
  std::error_code ignored;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  return {name, (program.parent_path() / "lib" / name).string(), absl::StrCat(INGOT_NCCL_DIRECTORY, "/", name)};
}

template <typename F>
void Find(void* library, const char* name, F*& function) {
  function = reinterpret_cast<F*>(dlsym(library, name));
}

template <typename F>
absl::Status Resolve(void* library, const char* name, F*& function) {
  Find(library, name, function);
  if (function != nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("libnccl has no ", name));
}

absl::Status ResolveAll(void* library, Nccl& nccl) {
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclGetVersion", nccl.GetVersion));
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclGetErrorString", nccl.GetErrorString));
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclGetLastError", nccl.GetLastError));
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclGetUniqueId", nccl.GetUniqueId));
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclCommInitRankConfig", nccl.CommInitRankConfig));
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclCommGetAsyncError", nccl.CommGetAsyncError));
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclCommFinalize", nccl.CommFinalize));
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclCommDestroy", nccl.CommDestroy));
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclCommAbort", nccl.CommAbort));
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclGroupStart", nccl.GroupStart));
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclGroupEnd", nccl.GroupEnd));
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclSend", nccl.Send));
  INGOT_RETURN_IF_ERROR(Resolve(library, "ncclRecv", nccl.Recv));
  Find(library, "ncclMemAlloc", nccl.MemAlloc);
  Find(library, "ncclMemFree", nccl.MemFree);
  Find(library, "ncclCommRegister", nccl.CommRegister);
  Find(library, "ncclCommDeregister", nccl.CommDeregister);
  if (nccl.MemFree == nullptr || nccl.CommRegister == nullptr || nccl.CommDeregister == nullptr)
    nccl.MemAlloc = nullptr;
  return absl::OkStatus();
}

absl::StatusOr<Nccl> Open() {
  std::vector<std::string> problems;
  for (const std::string& path : Candidates()) {
    void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      problems.emplace_back(dlerror());
      continue;
    }
    Nccl nccl;
    INGOT_RETURN_IF_ERROR(ResolveAll(library, nccl));
    Dl_info where;
    nccl.path = dladdr(reinterpret_cast<void*>(nccl.Send), &where) != 0 ? where.dli_fname : path;
    int version = 0;
    INGOT_RETURN_IF_ERROR(nccl.Check(nccl.GetVersion(&version), "its version"));
    nccl.version = absl::StrCat(version / 10000, ".", version / 100 % 100, ".", version % 100);
    if (version / 10000 == kMajor) return nccl;
    return absl::FailedPreconditionError(
        absl::StrCat(nccl.path, " is version ", nccl.version, "; this build works with ", kMajor, ".x"));
  }
  return absl::NotFoundError(
      absl::StrCat("no libnccl (", absl::StrJoin(problems, "; "), "); INGOT_NCCL=FILE names one"));
}

}  // namespace

absl::Status Nccl::Check(ncclResult_t result, const std::string& what, ncclComm_t comm) const {
  if (result == ncclSuccess || result == ncclInProgress) return absl::OkStatus();
  const char* const last = GetLastError(comm);
  return absl::UnavailableError(absl::StrCat("NCCL, ", what, ": ", GetErrorString(result),
                                             last != nullptr && *last != 0 ? absl::StrCat(" (", last, ")") : ""));
}

const absl::StatusOr<Nccl>& OpenNccl() {
  static const auto* const library = new absl::StatusOr<Nccl>(Open());  // never closed
  return *library;
}

}  // namespace ingot
