#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "core/base/bf16.h"
#include "core/base/status_macros.h"
#include "kernels/cuda/count_unequal.h"
#include "kernels/cuda/cublaslt_product_gpu.h"
#include "kernels/cuda/gemm_cublaslt.h"
#include "kernels/cuda/gemm_plans.h"
#include "kernels/cuda/gemm_sm90.h"
#include "kernels/cuda/gemm_tiled.h"
#include "kernels/cuda/gpu_failure.h"
#include "kernels/cuda/plan_search.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/stream_timer.h"
#include "kernels/fill.h"

namespace ingot::cuda {
namespace {

constexpr int kCandidates = 64;
// Twice what NVIDIA advises for a Hopper GPU: room for the parts of products that are cut along K.
constexpr int64_t kWorkspace = int64_t{64} << 20;
constexpr uintptr_t kWorkspaceAlignment = 256;
constexpr int kLeastGeluDepth = 16;  // K of products with GELU: a product of ones then lies where GELU is straight

using Algorithms = std::vector<cublasLtMatmulHeuristicResult_t>;

struct Device {
  const CublasLt* lt;
  cublasLtHandle_t handle;
};

absl::StatusOr<Device> MakeDevice() {
  Device device = {&*OpenCublasLt(), nullptr};
  int index = 0;
  cudaDeviceProp properties;
  if (cudaGetDevice(&index) != cudaSuccess || cudaGetDeviceProperties(&properties, index) != cudaSuccess) {
    return absl::InternalError("cuBLASLt: the GPU does not tell its name");
  }
  INGOT_RETURN_IF_ERROR(device.lt->Check(device.lt->Create(&device.handle), "its start on the GPU"));
  GemmPlanStore::OfProcess().SetMachine(
      {.device = absl::StrCat(properties.name, ", ", properties.multiProcessorCount, " multiprocessors"),
       .library = absl::StrCat("cuBLASLt ", device.lt->version)});
  return device;
}

// One GPU a process: that of the first product.
const absl::StatusOr<Device>& TheDevice() {
  static const auto* const device = new absl::StatusOr<Device>(MakeDevice());
  return *device;
}

// Memory that candidates are tried on: outputs that nobody needs, and operands whose product is known exactly.
class Trial {
 public:
  static absl::StatusOr<std::unique_ptr<Trial>> Create(const Gemm& gemm) {
    auto trial = std::make_unique<Trial>(gemm);
    const int64_t ones = std::max(Bytes(gemm.a), Bytes(gemm.b));
    INGOT_ASSIGN_OR_RETURN(trial->output_, Allocate("a trial product", Bytes(gemm.c)));
    INGOT_ASSIGN_OR_RETURN(trial->ones_, Allocate("ones for a trial product", ones));
    INGOT_ASSIGN_OR_RETURN(trial->bias_, Allocate("a bias of ones", std::max(Bytes(gemm.bias), int64_t{1})));
    INGOT_ASSIGN_OR_RETURN(trial->aux_, Allocate("an aux", std::max(Bytes(gemm.aux), int64_t{1})));
    INGOT_ASSIGN_OR_RETURN(trial->sums_, Allocate("sums", std::max(Bytes(gemm.a_sums), int64_t{1})));
    INGOT_ASSIGN_OR_RETURN(trial->count_, Allocate("a count", sizeof(uint32_t)));
    return trial;
  }
  explicit Trial(const Gemm& gemm) : gemm_(gemm) {}
  ~Trial() {
    for (void* const memory : {output_, ones_, bias_, aux_, sums_, count_}) Free(memory);
  }

  // The real operands, other outputs.
  Gemm OnOperands() const {
    Gemm gemm = gemm_;
    gemm.c.ptr = output_;
    if (gemm.epilogue == GemmEpilogue::kGelu) gemm.aux.ptr = aux_;
    if (!gemm.a_sums.absent()) gemm.a_sums.ptr = sums_;
    return gemm;
  }
  Gemm OnOnes() const {
    Gemm gemm = OnOperands();
    gemm.alpha = 1;
    if (gemm.beta != 0) gemm.beta = 1;
    gemm.a.ptr = gemm.b.ptr = ones_;
    if (!gemm.bias.absent()) gemm.bias.ptr = bias_;
    if (!gemm.aux.absent()) gemm.aux.ptr = aux_;
    return gemm;
  }
  // Behind a run of OnOnes(): whether every element is K, with beta and bias 1 or 2 more, and every sum over K is K. Sums of ones
  // are exact in f32, GELU of 16 and more is the number itself and its slope 1.
  absl::StatusOr<bool> IsRight(void* stream) const {
    float wanted = static_cast<float>(gemm_.K() + (gemm_.beta != 0 ? 1 : 0) + (gemm_.bias.absent() ? 0 : 1));
    if (gemm_.c.dtype == DType::kBf16) wanted = ToFloat(ToBf16(wanted));
    uint32_t unequal = 0;
    INGOT_RETURN_IF_ERROR(FillZero(count_, sizeof(unequal), stream));
    const Gemm gemm = OnOnes();
    CountUnequal(gemm.c, wanted, static_cast<uint32_t*>(count_), stream);
    if (gemm.epilogue == GemmEpilogue::kGelu) CountUnequal(gemm.aux, wanted, static_cast<uint32_t*>(count_), stream);
    if (!gemm.a_sums.absent()) {
      CountUnequal(gemm.a_sums, static_cast<float>(gemm.K()), static_cast<uint32_t*>(count_), stream);
    }
    INGOT_RETURN_IF_ERROR(CopyToHost(&unequal, count_, sizeof(unequal), stream));
    INGOT_RETURN_IF_ERROR(Synchronize(stream));
    return unequal == 0;
  }
  void Prepare(void* stream) const {
    Context context({}, ingot::Device::kCuda, stream);
    const Gemm gemm = OnOnes();
    const float nobody_wrote = std::numeric_limits<float>::quiet_NaN();
    Fill{.y = gemm.c, .value = gemm.beta != 0 ? 1.0f : nobody_wrote}.OnCuda(context);
    for (const Tensor& t : {gemm.a, gemm.b, gemm.bias}) {
      if (!t.absent()) Fill{.y = t, .value = 1}.OnCuda(context);
    }
    if (!gemm.aux.absent()) Fill{.y = gemm.aux, .value = kLeastGeluDepth}.OnCuda(context);
  }

 private:
  Gemm gemm_;
  void* output_ = nullptr;
  void* ones_ = nullptr;  // a and b, which are of one type
  void* bias_ = nullptr;
  void* aux_ = nullptr;
  void* sums_ = nullptr;
  void* count_ = nullptr;
};

// Candidates are the library's algorithms and, behind them, our own kernel for sm_90a where it takes the product.
struct Search {
  const Device& device;
  const CublasLtProduct& product;  // of the operands
  const Algorithms& algorithms;
  bool with_sm90;
  const Trial& trial;
  void* workspace;
  void* stream;

  int64_t count() const { return static_cast<int64_t>(algorithms.size()) + (with_sm90 ? 1 : 0); }
  bool IsSm90(int64_t i) const { return i == static_cast<int64_t>(algorithms.size()); }
  absl::Status Run(const CublasLtProduct& which, const Gemm& gemm, int64_t i) const {
    if (!IsSm90(i)) return which.Run(device.handle, gemm, algorithms[i].algo, workspace, kWorkspace, stream);
    RunGemmSm90(gemm, stream);
    return absl::OkStatus();
  }
  absl::StatusOr<double> Microseconds(int64_t i) const {
    const Gemm gemm = trial.OnOperands();
    return MicrosecondsOfRun(stream, [&] { return Run(product, gemm, i); });
  }
  absl::StatusOr<bool> IsRight(int64_t i) const {
    const Gemm gemm = trial.OnOnes();
    INGOT_ASSIGN_OR_RETURN(const CublasLtProduct on_ones, CublasLtProduct::Create(*device.lt, gemm));
    trial.Prepare(stream);
    INGOT_RETURN_IF_ERROR(Run(on_ones, gemm, i));
    return trial.IsRight(stream);
  }
};

GemmPlan PlanOf(const cublasLtMatmulHeuristicResult_t& result, double microseconds) {
  GemmPlan plan = {.workspace_bytes = static_cast<int64_t>(result.workspaceSize), .microseconds = microseconds};
  static_assert(sizeof(plan.algorithm) == sizeof(result.algo));
  std::memcpy(plan.algorithm.data(), &result.algo, sizeof(result.algo));
  return plan;
}

GemmPlan PlanOf(GemmPlan::Kind kind, double microseconds) { return {.kind = kind, .microseconds = microseconds}; }

// The fastest of the candidates on this product's own operands. Without memory for a trial it is the library's first guess; a
// product that nobody else computes goes to our tiled kernel.
absl::StatusOr<GemmPlan> FindPlan(const Device& device, const Gemm& gemm, void* workspace, void* stream) {
  INGOT_ASSIGN_OR_RETURN(const CublasLtProduct product, CublasLtProduct::Create(*device.lt, gemm));
  INGOT_ASSIGN_OR_RETURN(const Algorithms algorithms, product.Algorithms(device.handle, kCandidates, kWorkspace));
  const bool with_sm90 = IsAligned(gemm) && TakesGemmSm90(gemm);
  if (algorithms.empty()) return PlanOf(with_sm90 ? GemmPlan::Kind::kSm90 : GemmPlan::Kind::kTiled, 0);
  const absl::StatusOr<std::unique_ptr<Trial>> trial = Trial::Create(gemm);
  if (!trial.ok()) return PlanOf(algorithms.front(), 0);
  const Search search = {device, product, algorithms, with_sm90, **trial, workspace, stream};
  INGOT_ASSIGN_OR_RETURN(const ChosenPlan chosen,
                         FastestRightPlan({.count = search.count(),
                                           .microseconds = [&](int64_t i) { return search.Microseconds(i); },
                                           .is_right = [&](int64_t i) { return search.IsRight(i); }}));
  if (search.IsSm90(chosen.index)) return PlanOf(GemmPlan::Kind::kSm90, chosen.microseconds);
  return PlanOf(algorithms[chosen.index], chosen.microseconds);
}

absl::StatusOr<GemmPlan> PlanFor(const Gemm& gemm, void* workspace, void* stream) {
  INGOT_RETURN_IF_ERROR(TheDevice().status());
  return GemmPlanStore::OfProcess().FindOr(PlanKey(gemm),
                                           [&] { return FindPlan(*TheDevice(), gemm, workspace, stream); });
}

absl::Status Run(const Gemm& gemm, void* workspace, void* stream) {
  INGOT_ASSIGN_OR_RETURN(const GemmPlan plan, PlanFor(gemm, workspace, stream));
  const Device& device = *TheDevice();
  if (plan.kind != GemmPlan::Kind::kLibrary) {
    plan.kind == GemmPlan::Kind::kSm90 ? RunGemmSm90(gemm, stream) : RunTiledGemm(gemm, stream);
    return absl::OkStatus();
  }
  cublasLtMatmulAlgo_t algorithm;
  std::memcpy(&algorithm, plan.algorithm.data(), sizeof(algorithm));
  INGOT_ASSIGN_OR_RETURN(const CublasLtProduct product, CublasLtProduct::Create(*device.lt, gemm));
  return Annotate(product.Run(device.handle, gemm, algorithm, workspace, kWorkspace, stream), PlanKey(gemm) + ": ");
}

// The product that an epilogue stands behind.
Gemm PlainOf(const Gemm& gemm) {
  Gemm plain = gemm;
  plain.epilogue = GemmEpilogue::kNone;
  plain.aux = plain.a_sums = Tensor();
  return plain;
}

// The plan of a product with an epilogue: the library's, if it has one that is faster than `of_plain`, its plan of the plain
// product, and what comes behind.
absl::StatusOr<GemmPlan> FindFusedPlan(const Gemm& gemm, const GemmPlan& of_plain, const std::function<void()>& behind,
                                       void* workspace, void* stream) {
  INGOT_ASSIGN_OR_RETURN(const double of_behind, MicrosecondsOfRun(stream, [&] {
                           behind();
                           return absl::OkStatus();
                         }));
  const GemmPlan parts = PlanOf(GemmPlan::Kind::kParts, of_plain.microseconds + of_behind);
  if (of_plain.microseconds == 0 || gemm.K() < kLeastGeluDepth) return parts;
  const absl::StatusOr<GemmPlan> fused = FindPlan(*TheDevice(), gemm, workspace, stream);
  const bool measured = fused.ok() && fused->kind == GemmPlan::Kind::kLibrary && fused->microseconds > 0;
  return measured && fused->microseconds < parts.microseconds ? *fused : parts;
}

// The plain product's plan is there before anybody is told to find this one: who finds a plan asks nobody meanwhile.
absl::StatusOr<GemmPlan> FusedPlanFor(const Gemm& gemm, const std::function<void()>& behind, void* workspace,
                                      void* stream) {
  GemmPlanStore& store = GemmPlanStore::OfProcess();
  const std::string key = PlanKey(gemm);
  if (const std::optional<GemmPlan> known = store.Find(key)) return *known;
  INGOT_ASSIGN_OR_RETURN(const GemmPlan of_plain, PlanFor(PlainOf(gemm), workspace, stream));
  return store.FindOr(key, [&] { return FindFusedPlan(gemm, of_plain, behind, workspace, stream); });
}

void* Aligned(void* workspace) {
  const auto address = reinterpret_cast<uintptr_t>(workspace);
  return reinterpret_cast<void*>((address + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment);
}

}  // namespace

absl::StatusOr<std::string> CublasLtName() {
  const absl::StatusOr<CublasLt>& lt = OpenCublasLt();
  if (!lt.ok()) return lt.status();
  return absl::StrCat("cuBLASLt ", lt->version, ", ", lt->path);
}

int64_t CublasLtWorkspaceBytes() { return kWorkspace + static_cast<int64_t>(kWorkspaceAlignment); }

void RunCublasLtGemm(const Gemm& gemm, void* workspace, void* stream) {
  gemm.Check();
  KeepFailure(Run(gemm, Aligned(workspace), stream));
}

bool CublasLtFusesEpilogue(const Gemm& gemm, const std::function<void()>& behind, void* workspace, void* stream) {
  gemm.Check();
  const absl::StatusOr<GemmPlan> plan = FusedPlanFor(gemm, behind, Aligned(workspace), stream);
  KeepFailure(plan.status());
  return plan.ok() && plan->kind == GemmPlan::Kind::kLibrary;
}

}  // namespace ingot::cuda
