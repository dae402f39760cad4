#pragma once
// Arena: one allocation whose size was planned before the run, handed out in named pieces and never grown.
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/tensor.h"

namespace ingot {

class Arena {
 public:
  static constexpr int64_t kAlignment = 256;  // a cache line pair on CPUs, a transaction on GPUs

  // One mapping of `bytes` zero bytes on huge pages where the system grants them, touched by all threads.
  // An error (not a crash) if the machine does not have the memory.
  static absl::StatusOr<Arena> Create(std::string name, int64_t bytes);
  // Over memory that somebody else allocated, such as a GPU's; release(memory) is called at the end.
  static Arena Over(std::string name, void* memory, int64_t bytes, void (*release)(void* memory));
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  ~Arena();

  // The next piece, aligned to kAlignment. Running past the end is a programmer's error: the plan was wrong.
  Tensor Take(const std::string& name, DType dtype, std::initializer_list<int64_t> shape);
  // Memory at `offset` for pieces whose places were planned elsewhere.
  void* At(int64_t offset, int64_t bytes) const;

  int64_t bytes() const { return bytes_; }
  int64_t used() const { return used_; }

  // Bytes of all arenas of this process that exist now: what plans are held against. Thread-safe.
  static int64_t LiveBytes();

  static constexpr int64_t Aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

 private:
  Arena(std::string name, void* memory, int64_t bytes, void (*release)(void*));
  std::string name_;
  void* memory_ = nullptr;
  int64_t bytes_ = 0;
  int64_t used_ = 0;
  void (*release_)(void*) = nullptr;  // null: a mapping of ours
};

}  // namespace ingot
