#pragma once
// The ops that `ingot bench kernels` runs, at the shapes of a model.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "kernels/context.h"
#include "tools/ingot/bench_memory.h"

namespace ingot {

struct BenchModel {
  const char* name;
  bool is_gpt2;  // LayerNorm and GELU with biases, else RMSNorm and SwiGLU
  int64_t B, T, C, H, K, D, F, V;
  int64_t R() const { return B * T; }
};

// What limits an op on a GPU.
enum class OpKind { kMemory, kProduct, kFp8Product, kAttention, kAttentionBackward, kHead, kFp8Head };

struct KernelCase {
  std::string model, op, shape;
  OpKind kind;
  bool
      compared;  // --check compares it: not where values are rounded to fp8 that are not the CPU's to the last bit, since
                 // they jump; tests hold those ops against their parts
  Work work;
  double logit_bytes;     // of the head: logits that its own kernel reads and writes between its products
  int64_t scratch_bytes;  // of the device that was asked for
  std::function<void(Context&)> run;
  std::vector<Tensor> tensors;  // all that the op and its group work on
};

using CaseVisitor = std::function<absl::Status(const KernelCase&)>;

// Groups of ops that share memory, of any model: kBenchGroups.
inline constexpr int kBenchGroups = 12;

// Calls `visit` for every op of a group. `backend` null: for their costs on a GPU alone; `run` must not be called then.
// Errors: no memory, or what `visit` returns.
absl::Status VisitGroup(const BenchModel& model, int group, const Backend* backend, DType scalar,
                        const CaseVisitor& visit);

// All groups, one after another.
absl::Status VisitKernelCases(const BenchModel& model, const Backend* backend, DType scalar, const CaseVisitor& visit);

}  // namespace ingot
