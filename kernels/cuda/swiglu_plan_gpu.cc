#include "absl/status/statusor.h"
#include "core/base/status_macros.h"
#include "kernels/cuda/gemm_plans.h"
#include "kernels/cuda/gpu_failure.h"
#include "kernels/cuda/stream_timer.h"
#include "kernels/cuda/swiglu_plan.h"

namespace ingot::cuda {
namespace {

absl::StatusOr<GemmPlan> FindPlan(const SwigluGemm& gemm, const std::function<void()>& parts, void* stream) {
  const auto microseconds = [stream](const std::function<void()>& enqueue) {
    return MicrosecondsOfRun(stream, [&] {
      enqueue();
      return absl::OkStatus();
    });
  };
  INGOT_ASSIGN_OR_RETURN(const double apart, microseconds(parts));
  INGOT_ASSIGN_OR_RETURN(const double fused, microseconds([&] { RunSwigluGemmSm90(gemm, stream); }));
  if (fused < apart) return GemmPlan{.kind = GemmPlan::Kind::kSm90, .microseconds = fused};
  return GemmPlan{.kind = GemmPlan::Kind::kParts, .microseconds = apart};
}

}  // namespace

bool FusesSwiglu(const SwigluGemm& gemm, const std::function<void()>& parts, void* stream) {
  if (WishedGemm() == GemmWish::kTiled || !TakesSwigluGemmSm90(gemm)) return false;
  if (PrefersGemmSm90()) return true;
  GemmPlanStore& store = GemmPlanStore::OfProcess();
  const std::string key = PlanKey(gemm);
  if (const std::optional<GemmPlan> known = store.Find(key)) return known->kind == GemmPlan::Kind::kSm90;
  parts();  // its product has a plan then: who finds a plan asks nobody meanwhile
  const absl::StatusOr<GemmPlan> plan = store.FindOr(key, [&] { return FindPlan(gemm, parts, stream); });
  KeepFailure(plan.status());
  return plan.ok() && plan->kind == GemmPlan::Kind::kSm90;
}

}  // namespace ingot::cuda
