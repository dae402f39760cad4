#include "core/training/guard.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace ingot {
namespace {

constexpr char kAdvice[] =
    "; the weights were not changed and the checkpoints are as they were. Lower optimizer.learning_rate, lengthen "
    "schedule.warmup_steps or lower optimizer.clip, then start the run again in a new directory";

}  // namespace

absl::Status CheckLoss(int64_t step, int64_t micro, int64_t micros, double loss) {
  if (std::isfinite(loss)) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("step ", step, ", micro-batch ", micro, " of ", micros,
                                          ": expected a finite loss, found ", loss, kAdvice));
}

absl::Status CheckGradientNorm(int64_t step, double norm) {
  if (std::isfinite(norm)) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("step ", step,
                                          ": every loss is finite, but expected a finite gradient norm, "
                                          "found ",
                                          norm, kAdvice));
}

}  // namespace ingot
