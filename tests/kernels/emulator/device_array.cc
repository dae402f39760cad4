#include "tests/kernels/emulator/device_array.h"

#include "core/base/check.h"
#include "kernels/cuda/runtime.h"

namespace ingot {
namespace {

void Require(absl::Status status) {
  if (status.ok()) status = cuda::Synchronize(nullptr);
  INGOT_CHECK(status.ok(), "%s", std::string(status.message()).c_str());
}

}  // namespace

void* NewOnDevice(const std::string& name, const void* values, int64_t bytes) {
  const absl::StatusOr<void*> memory = cuda::Allocate(name, bytes);
  Require(memory.status());
  Require(cuda::CopyToDevice(*memory, values, bytes, nullptr));
  return *memory;
}

void CopyFromDevice(void* values, const void* memory, int64_t bytes) {
  Require(cuda::CopyToHost(values, memory, bytes, nullptr));
}

void FreeOnDevice(void* memory) { cuda::Free(memory); }

}  // namespace ingot
