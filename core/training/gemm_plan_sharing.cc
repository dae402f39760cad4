#include "core/training/gemm_plan_sharing.h"

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

std::string NameOf(const std::string& key) { return absl::StrCat("gemm plan/", key); }

}  // namespace

absl::Status GemmPlanSharing::Begin() {
  if (control_.size() == 1) return absl::OkStatus();
  if (control_.rank() == 0) {
    for (const auto& [key, plan] : store_.Table().plans) {
      INGOT_RETURN_IF_ERROR(control_.Put(NameOf(key), cuda::GemmPlanTable::LineOf(key, plan)));
    }
  }
  store_.ShareWith(
      {.ask = [this](const std::string& key) { return control_.Claim(NameOf(key)); },
       .tell = [this](const std::string& key, const std::string& plan) { return control_.Put(NameOf(key), plan); }});
  return absl::OkStatus();
}

}  // namespace ingot
