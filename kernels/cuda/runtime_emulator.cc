// The CUDA runtime of a build without CUDA: the emulator's.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <mutex>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/runtime.h"
#include "kernels/emulator/memory.h"
#include "kernels/emulator/options.h"
#include "kernels/emulator/stream.h"

namespace ingot::cuda {
namespace {

using Work = std::vector<std::function<void()>>;  // of a graph

}  // namespace

bool IsEmulated() { return true; }

void SetLocalRank(int /*local_rank*/) {}  // there is one emulator in each process
int OwnDevice() { return 0; }

absl::StatusOr<std::string> SelectDevice(int index) {
  if (index == 0) return emulator::Capability() == 90 ? "emulator of compute capability 9.0" : "emulator";
  return absl::NotFoundError(
      absl::StrCat("device ", index, " was asked for; this build has one, the emulator, device 0"));
}

void UseDevice() {}

// What the host has left: emulated device memory is host memory.
absl::StatusOr<int64_t> FreeBytes() {
  std::ifstream file("/proc/meminfo");
  std::string word;
  while (file >> word) {
    int64_t kilobytes = 0;
    if (word == "MemAvailable:" && file >> kilobytes) return kilobytes * 1024;
  }
  return absl::UnavailableError("/proc/meminfo does not say how much memory is available");
}

absl::StatusOr<void*> Allocate(const std::string& what, int64_t bytes) {
  const std::lock_guard lock(emulator::DeviceMutex());
  void* const memory = emulator::AllocateMemory(emulator::Space::kDevice, what, static_cast<size_t>(bytes));
  if (memory != nullptr) return memory;
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory for ", what, ": ", bytes, " bytes on the emulated device"));
}

void Free(void* memory) {
  if (memory == nullptr) return;
  const std::lock_guard lock(emulator::DeviceMutex());
  emulator::SynchronizeAll();  // as cudaFree does
  emulator::FreeMemory(memory);
}

absl::StatusOr<void*> AllocatePinned(const std::string& what, int64_t bytes) {
  void* const memory = std::malloc(static_cast<size_t>(bytes));
  if (memory != nullptr) return memory;
  return absl::ResourceExhaustedError(
      absl::StrCat("no memory for ", what, ": ", bytes, " bytes of pinned host memory"));
}

void FreePinned(void* memory) { std::free(memory); }

absl::StatusOr<void*> CreateStream() { return emulator::CreateStream(); }
void DestroyStream(void* stream) { emulator::DestroyStream(stream); }

absl::Status CopyToDevice(void* device, const void* host, int64_t bytes, void* stream) {
  if (bytes == 0) return absl::OkStatus();  // the pointers may be null, which memcpy must not be given
  emulator::Enqueue(stream, [=] { std::memcpy(device, host, static_cast<size_t>(bytes)); });
  return absl::OkStatus();
}

absl::Status CopyToHost(void* host, const void* device, int64_t bytes, void* stream) {
  if (bytes == 0) return absl::OkStatus();  // the pointers may be null, which memcpy must not be given
  emulator::Enqueue(stream, [=] { std::memcpy(host, device, static_cast<size_t>(bytes)); });
  return absl::OkStatus();
}

void CopyOnDevice(void* to, const void* from, int64_t bytes, void* stream) {
  if (bytes == 0) return;
  emulator::Enqueue(stream, [=] { std::memcpy(to, from, static_cast<size_t>(bytes)); });
}

void* RecordEvent(void* stream) { return emulator::RecordEvent(stream); }
void WaitForEvent(void* stream, void* event) { emulator::WaitForEvent(stream, event); }
void DestroyEvent(void* event) { emulator::DestroyEvent(event); }

absl::Status FillZero(void* device, int64_t bytes, void* stream) {
  if (bytes == 0) return absl::OkStatus();
  emulator::Enqueue(stream, [=] { std::memset(device, 0, static_cast<size_t>(bytes)); });
  return absl::OkStatus();
}

absl::Status BeginCapture(void* stream) {
  emulator::BeginCapture(stream);
  return absl::OkStatus();
}

absl::StatusOr<void*> EndCapture(void* stream) { return new Work(emulator::EndCapture(stream)); }

absl::Status LaunchGraph(void* graph, void* stream) {
  for (const std::function<void()>& work : *static_cast<const Work*>(graph)) emulator::Enqueue(stream, work);
  return absl::OkStatus();
}

void DestroyGraph(void* graph) { delete static_cast<Work*>(graph); }

absl::Status Synchronize(void* stream) {
  emulator::Synchronize(stream);
  return absl::OkStatus();
}

}  // namespace ingot::cuda
