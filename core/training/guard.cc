#include "core/training/guard.h"

#include "absl/strings/str_cat.h"
#include "distributed/exit_codes.h"

namespace ingot {
namespace {

constexpr char kAdvice[] =
    "; the weights were not changed and the checkpoints are as they were. Go on past it with --set "
    "spikes.policy=rollback or skip, or lower optimizer.learning_rate, lengthen schedule.warmup_steps or lower "
    "optimizer.clip and start in a new directory";

}  // namespace

absl::Status StoppedBySpike(int64_t step, const std::string& where, const std::string& reason) {
  return WithExitCode(
      absl::InternalError(absl::StrCat("step ", step, where.empty() ? "" : ", ", where, ": ", reason, kAdvice)),
      ExitCode::kStoppedByPolicy);
}

}  // namespace ingot
