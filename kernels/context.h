#pragma once
// Context: where ops run. Run() is the only door to an op: it checks the arguments, then computes on the context's
// device, or, in describe mode, only records what would run. An op is a struct with
//   static constexpr char kName[];
//   void Check() const;             shapes, dtypes, aliases: programmer's errors
//   void OnCpu(Context&) const;     f32
//   void OnCuda(Context&) const;    f32 or bf16; on a GPU, or the same kernels on the emulator
//   Work Cost() const;              from the shapes alone
//   int64_t ScratchBytes() const;      optional: memory that OnCpu takes from the context by Scratch<T>(n)
//   int64_t CudaScratchBytes() const;  optional: the same for OnCuda, device memory
#include <concepts>
#include <cstdint>
#include <functional>
#include <utility>

#include "core/base/tensor.h"
#include "kernels/cuda/op_range.h"

namespace ingot {

template <typename Op>
concept HasScratch = requires(const Op& op) {
  { op.ScratchBytes() } -> std::same_as<int64_t>;
};

template <typename Op>
concept HasCudaScratch = requires(const Op& op) {
  { op.CudaScratchBytes() } -> std::same_as<int64_t>;
};

class Context;

// Where an op computes. Tensors of a kCuda context lie in device memory (kernels/cuda/runtime.h).
enum class Device { kCpu, kCuda };

template <typename Op>
concept HasCuda = requires(const Op& op, Context& ctx) {
  op.OnCuda(ctx);
};

// What a context in describe mode tells of an op.
struct OpRecord {
  const char* name;
  Work work;
  int64_t scratch_bytes;
};

class Context {
 public:
  // Computes, with scratch memory of the caller's: at least the largest ScratchBytes() of the ops to be run.
  // stream: the CUDA stream that the ops of a kCuda context follow each other on (cudaStream_t), null on the CPU.
  explicit Context(Tensor scratch = {}, Device device = Device::kCpu, void* stream = nullptr)
      : scratch_(scratch), device_(device), stream_(stream) {}
  // Runs nothing: `record` is told of every op as `device` would run it. Tensors may have null pointers.
  static Context Describe(std::function<void(const OpRecord&)> record, Device device = Device::kCpu) {
    Context context({}, device);
    context.describe_ = std::move(record);
    return context;
  }

  Device device() const { return device_; }
  void* stream() const { return stream_; }
  bool describes() const { return static_cast<bool>(describe_); }

  template <typename Op>
  void Run(const Op& op) {
    op.Check();
    int64_t scratch_bytes = 0;
    if constexpr (HasScratch<Op>) {
      if (device_ == Device::kCpu) scratch_bytes = op.ScratchBytes();
    }
    if constexpr (HasCudaScratch<Op>) {
      if (device_ == Device::kCuda) scratch_bytes = op.CudaScratchBytes();
    }
    if (describes()) return describe_({Op::kName, op.Cost(), scratch_bytes});
    INGOT_CHECK(scratch_bytes <= Bytes(scratch_), "%s needs %lld bytes of scratch; the context has %lld", Op::kName,
                static_cast<long long>(scratch_bytes), static_cast<long long>(Bytes(scratch_)));
    scratch_used_ = 0;
    if constexpr (HasCuda<Op>) {
      if (device_ == Device::kCuda) {
        const cuda::OpRange range(Op::kName);
        return op.OnCuda(*this);
      }
    }
    INGOT_CHECK(device_ == Device::kCpu, "%s has no CUDA body", Op::kName);
    op.OnCpu(*this);
  }

  // The next n elements of scratch, 64-byte aligned; valid until the op returns. Ops count their own bytes with
  // ScratchFor<T>(n).
  template <typename T>
  T* Scratch(int64_t n) {
    T* const piece = reinterpret_cast<T*>(static_cast<char*>(scratch_.ptr) + scratch_used_);
    scratch_used_ += ScratchFor<T>(n);
    INGOT_CHECK(scratch_used_ <= Bytes(scratch_), "an op took more scratch than its ScratchBytes()");
    return piece;
  }
  template <typename T>
  static constexpr int64_t ScratchFor(int64_t n) {
    return (n * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
  }

 private:
  Tensor scratch_;
  Device device_;
  void* stream_;
  int64_t scratch_used_ = 0;
  std::function<void(const OpRecord&)> describe_;
};

}  // namespace ingot
