#include "distributed/nccl_library_gpu.h"

#include "absl/strings/str_cat.h"
#include "core/base/shared_library.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr int kMajor = NCCL_MAJOR;

absl::Status ResolveAll(const SharedLibrary& library, Nccl& nccl) {
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclGetVersion", nccl.GetVersion));
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclGetErrorString", nccl.GetErrorString));
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclGetLastError", nccl.GetLastError));
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclGetUniqueId", nccl.GetUniqueId));
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclCommInitRankConfig", nccl.CommInitRankConfig));
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclCommGetAsyncError", nccl.CommGetAsyncError));
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclCommFinalize", nccl.CommFinalize));
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclCommDestroy", nccl.CommDestroy));
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclCommAbort", nccl.CommAbort));
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclGroupStart", nccl.GroupStart));
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclGroupEnd", nccl.GroupEnd));
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclSend", nccl.Send));
  INGOT_RETURN_IF_ERROR(library.Resolve("ncclRecv", nccl.Recv));
  library.Find("ncclMemAlloc", nccl.MemAlloc);
  library.Find("ncclMemFree", nccl.MemFree);
  library.Find("ncclCommRegister", nccl.CommRegister);
  library.Find("ncclCommDeregister", nccl.CommDeregister);
  if (nccl.MemFree == nullptr || nccl.CommRegister == nullptr || nccl.CommDeregister == nullptr)
    nccl.MemAlloc = nullptr;
  return absl::OkStatus();
}

absl::StatusOr<Nccl> Open() {
  INGOT_ASSIGN_OR_RETURN(const SharedLibrary library, SharedLibrary::Open(absl::StrCat("libnccl.so.", kMajor),
                                                                          "INGOT_NCCL", {INGOT_NCCL_DIRECTORY}));
  Nccl nccl;
  INGOT_RETURN_IF_ERROR(ResolveAll(library, nccl));
  nccl.path = library.path();
  int version = 0;
  INGOT_RETURN_IF_ERROR(nccl.Check(nccl.GetVersion(&version), "its version"));
  nccl.version = absl::StrCat(version / 10000, ".", version / 100 % 100, ".", version % 100);
  if (version / 10000 == kMajor) return nccl;
  return absl::FailedPreconditionError(
      absl::StrCat(nccl.path, " is version ", nccl.version, "; this build works with ", kMajor, ".x"));
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
