#pragma once
// libnccl, opened when the program runs: the program starts where there is none, and carries none with it.
#include <nccl.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ingot {

// Its functions, under the names of its header without the prefix.
struct Nccl {
  std::string path;     // of the file that was opened
  std::string version;  // "2.28.9"
  decltype(&ncclGetVersion) GetVersion;
  decltype(&ncclGetErrorString) GetErrorString;
  decltype(&ncclGetLastError) GetLastError;
  decltype(&ncclGetUniqueId) GetUniqueId;
  decltype(&ncclCommInitRankConfig) CommInitRankConfig;
  decltype(&ncclCommGetAsyncError) CommGetAsyncError;
  decltype(&ncclCommFinalize) CommFinalize;
  decltype(&ncclCommDestroy) CommDestroy;
  decltype(&ncclCommAbort) CommAbort;
  decltype(&ncclGroupStart) GroupStart;
  decltype(&ncclGroupEnd) GroupEnd;
  decltype(&ncclSend) Send;
  decltype(&ncclRecv) Recv;
  // Absent from libraries older than 2.19; all four or none.
  decltype(&ncclMemAlloc) MemAlloc = nullptr;
  decltype(&ncclMemFree) MemFree = nullptr;
  decltype(&ncclCommRegister) CommRegister = nullptr;
  decltype(&ncclCommDeregister) CommDeregister = nullptr;

  bool registers() const { return MemAlloc != nullptr; }
  // With what the library itself says about it; `comm` may be null.
  absl::Status Check(ncclResult_t result, const std::string& what, ncclComm_t comm = nullptr) const;
};

// The library of this process, opened at the first call. Looked for in the file that INGOT_NCCL names; else where the
// system's loader looks, in lib/ beside the program, and where it lay when the program was built. Errors: none found, or
// another major version than the header that this was built with.
const absl::StatusOr<Nccl>& OpenNccl();

}  // namespace ingot
