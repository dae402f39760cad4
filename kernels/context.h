#pragma once
// Context: where ops run. Run() is the only door to an op: it checks the arguments, then computes on the context's
// device, or, in describe mode, only records what would run. An op is a struct with
//   static constexpr char kName[];
//   void Check() const;             shapes, dtypes, aliases: programmer's errors
//   void OnCpu(Context&) const;
//   Work Cost() const;              from the shapes alone
//   int64_t ScratchBytes() const;   optional; taken from the context by Scratch<T>(n) while the op runs
#include <concepts>
#include <cstdint>
#include <functional>
#include <utility>

#include "core/base/tensor.h"

namespace ingot {

template <typename Op>
concept HasScratch = requires(const Op& op) {
  { op.ScratchBytes() } -> std::same_as<int64_t>;
};

// What a context in describe mode, or one with an observer, tells of an op.
struct OpRecord {
  const char* name;
  Work work;
  int64_t scratch_bytes;
};

class Context {
 public:
  // Computes, with scratch memory of the caller's: at least the largest ScratchBytes() of the ops to be run.
  explicit Context(Tensor scratch = {}) : scratch_(scratch) {}
  // Runs nothing: `record` is told of every op. Tensors may have null pointers.
  static Context Describe(std::function<void(const OpRecord&)> record) {
    Context context;
    context.describe_ = std::move(record);
    return context;
  }

  bool describes() const { return static_cast<bool>(describe_); }

  template <typename Op>
  void Run(const Op& op) {
    op.Check();
    int64_t scratch_bytes = 0;
    if constexpr (HasScratch<Op>) scratch_bytes = op.ScratchBytes();
    if (describes()) return describe_({Op::kName, op.Cost(), scratch_bytes});
    INGOT_CHECK(scratch_bytes <= Bytes(scratch_), "%s needs %lld bytes of scratch; the context has %lld", Op::kName,
                static_cast<long long>(scratch_bytes), static_cast<long long>(Bytes(scratch_)));
    scratch_used_ = 0;
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
  int64_t scratch_used_ = 0;
  std::function<void(const OpRecord&)> describe_;
};

}  // namespace ingot
