#include "core/base/arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/threads.h"

namespace ingot {
namespace {

constexpr int64_t kTouchBytes = int64_t{64} << 20;  // a unit of first touch, large enough to keep huge pages whole
constexpr int64_t kPageBytes = 4096;

void TouchInParallel(char* memory, int64_t bytes) {
  ParallelFor((bytes + kTouchBytes - 1) / kTouchBytes, 0, [&](int64_t block) {
    const int64_t end = std::min(bytes, (block + 1) * kTouchBytes);
    for (int64_t i = block * kTouchBytes; i < end; i += kPageBytes) *static_cast<volatile char*>(memory + i) = 0;
  });
}

// What the system can still give without swapping; no limit where it does not say.
int64_t AvailableBytes() {
  static constexpr char kField[] = "MemAvailable:";
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(kField, 0) == 0) return std::strtoll(line.c_str() + sizeof(kField) - 1, nullptr, 10) * 1024;
  }
  return std::numeric_limits<int64_t>::max();
}

std::atomic<int64_t> live_bytes{0};

}  // namespace

int64_t Arena::LiveBytes() { return live_bytes; }

absl::StatusOr<Arena> Arena::Create(std::string name, int64_t bytes) {
  bytes = std::max(kAlignment, Aligned(bytes));
  // Asked first: the system grants mappings it cannot back, and kills the process when they are touched.
  if (const int64_t available = AvailableBytes(); bytes > available) {
    return absl::ResourceExhaustedError(absl::StrCat(name, ": ", bytes, " bytes of memory are planned, but only ",
                                                     available, " are available: use a smaller micro-batch or model"));
  }
  void* memory = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return absl::ResourceExhaustedError(
        absl::StrCat(name, ": ", bytes,
                     " bytes of memory are planned and the system refused them: use a smaller micro-batch or model"));
  }
  madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  TouchInParallel(static_cast<char*>(memory), bytes);
  return Arena(std::move(name), memory, bytes, nullptr);
}

Arena Arena::Over(std::string name, void* memory, int64_t bytes, void (*release)(void*)) {
  return Arena(std::move(name), memory, bytes, release);
}

Arena::Arena(std::string name, void* memory, int64_t bytes, void (*release)(void*))
    : name_(std::move(name)), memory_(memory), bytes_(bytes), release_(release) {
  live_bytes += bytes;
}

Arena::Arena(Arena&& other) noexcept
    : name_(std::move(other.name_)),
      memory_(std::exchange(other.memory_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      used_(std::exchange(other.used_, 0)),
      release_(other.release_) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(name_, other.name_);
  std::swap(memory_, other.memory_);
  std::swap(bytes_, other.bytes_);
  std::swap(used_, other.used_);
  std::swap(release_, other.release_);
  return *this;
}

Arena::~Arena() {
  if (memory_ == nullptr) return;
  live_bytes -= bytes_;
  if (release_ != nullptr) {
    release_(memory_);
  } else {
    munmap(memory_, static_cast<size_t>(bytes_));
  }
}

Tensor Arena::Take(const std::string& name, DType dtype, std::initializer_list<int64_t> shape) {
  Tensor tensor(nullptr, dtype, shape);
  const int64_t bytes = Aligned(Bytes(tensor));
  INGOT_CHECK(used_ + bytes <= bytes_, "arena %s: no room for %s", name_.c_str(), name.c_str());
  tensor.ptr = At(used_, bytes);
  used_ += bytes;
  return tensor;
}

void* Arena::At(int64_t offset, int64_t bytes) const {
  INGOT_CHECK(offset >= 0 && offset + bytes <= bytes_, "arena %s: piece ends outside", name_.c_str());
  return static_cast<char*>(memory_) + offset;
}

}  // namespace ingot
