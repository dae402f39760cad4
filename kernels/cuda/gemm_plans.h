#pragma once
// Which way of computing each matrix product has been chosen on a GPU. Another plan adds in another order and so gives
// other bits: a run keeps its table and takes it up again when it resumes. Plain C++, the same in every build.
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "kernels/cuda/gemm_sm90.h"

namespace ingot::cuda {

// What decides which plans can compute a product, without blanks: "bf16,f32,tn,896x4864x16384,accumulate,aligned" of
// types of a and c, transposes of a and b, M x N x K, and what else it has. "aligned": all tensors at multiples of 16
// bytes.
std::string PlanKey(const Gemm& gemm);
// Of a product with SwiGLU (gemm_sm90.h): "swiglu,16384x4864x896" of R x F x C.
std::string PlanKey(const SwigluGemm& gemm);

// Whether all tensors of the product lie at multiples of 16 bytes.
bool IsAligned(const Gemm& gemm);

struct GemmPlan {
  // The vendor's algorithm below, the kernel of gemm_tiled.h, that of gemm_sm90.h, or, of a product that could do what comes
  // behind it as well, the two after each other.
  enum class Kind { kLibrary, kTiled, kSm90, kParts };
  Kind kind = Kind::kLibrary;
  std::array<uint64_t, 8> algorithm = {};  // a cublasLtMatmulAlgo_t, of use to one version of the library only
  int64_t workspace_bytes = 0;
  double microseconds = 0;  // measured when it was chosen; 0: taken without measuring
  bool operator==(const GemmPlan&) const = default;
};

// What plans belong to: they are void on another device or with another library.
struct GemmMachine {
  std::string device;   // "NVIDIA H100 80GB HBM3, 132 multiprocessors"
  std::string library;  // "cuBLASLt 13.1.0"
  bool operator==(const GemmMachine&) const = default;
};

struct GemmPlanTable {
  GemmMachine machine;
  std::map<std::string, GemmPlan> plans;  // by PlanKey()

  // A line a plan between a head and a CRC32C.
  std::string ToText() const;
  // A plan as a line of the text and back. Errors: a line that is none.
  static std::string LineOf(const std::string& key, const GemmPlan& plan);
  static absl::StatusOr<GemmPlan> ParseLine(absl::string_view line, absl::string_view what);

  // The inverse of ToText(). Any change to the text is an error; `what` names it.
  static absl::StatusOr<GemmPlanTable> Parse(absl::string_view text, absl::string_view what);
};

// Other processes that compute the same products and want the same bits.
struct GemmPlanPeers {
  // The plan of a product as text, or nothing if this process is to search for it and tell().
  std::function<absl::StatusOr<std::optional<std::string>>(const std::string& key)> ask;
  std::function<absl::Status(const std::string& key, const std::string& plan)> tell;
};

// The plans of this process, shared by its threads. Empty where products need none: on the CPU, on the emulator, and
// with our own tiled product.
class GemmPlanStore {
 public:
  static GemmPlanStore& OfProcess();

  // Says whose plans these are, before the first of them.
  void SetMachine(const GemmMachine& machine);
  // Absent: products of this process need no plans.
  std::optional<GemmMachine> machine() const;

  std::optional<GemmPlan> Find(const std::string& key) const;
  // The plan known here, else that of the peers, else the one that `search` finds. Kept, and told to the peers.
  absl::StatusOr<GemmPlan> FindOr(const std::string& key, const std::function<absl::StatusOr<GemmPlan>()>& search);
  // From now on; without functions: no more.
  void ShareWith(GemmPlanPeers peers);
  void Add(const std::string& key, const GemmPlan& plan);
  // Takes the plans of `table` for products that have none yet. The table must be this machine's.
  void Adopt(const GemmPlanTable& table);
  GemmPlanTable Table() const;

 private:
  mutable std::mutex mutex_;
  std::optional<GemmMachine> machine_;
  std::map<std::string, GemmPlan> plans_;
  GemmPlanPeers peers_;
};

}  // namespace ingot::cuda
