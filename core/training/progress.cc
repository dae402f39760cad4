#include "core/training/progress.h"

#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_format.h"

namespace ingot {
namespace {

constexpr auto kPlainInterval = std::chrono::seconds(5);
constexpr auto kLiveInterval = std::chrono::milliseconds(200);

}  // namespace

std::string DurationText(double seconds) {
  const int64_t whole = static_cast<int64_t>(seconds + 0.5);
  if (whole < 100) return absl::StrFormat("%d s", whole);
  if (whole < 100 * 60) return absl::StrFormat("%d min", (whole + 30) / 60);
  return absl::StrFormat("%d h %d min", whole / 3600, whole % 3600 / 60);
}

Progress::Progress(int64_t steps, bool speaks) : steps_(steps), speaks_(speaks), live_(isatty(STDOUT_FILENO) == 1) {}

void Progress::Show(const TrainingRecord& record) {
  if (!speaks_) return;
  constexpr double kSmoothing = 0.1;
  seconds_per_step_ += (seconds_per_step_ == 0 ? 1 : kSmoothing) * (record.seconds - seconds_per_step_);
  const bool last = record.step == steps_;
  const Clock::time_point now = Clock::now();
  if (!last && now - shown_ < (live_ ? Clock::duration(kLiveInterval) : Clock::duration(kPlainInterval))) return;
  shown_ = now;
  const double waited = 100 * record.data_wait_share();
  const std::string line = absl::StrFormat(
      "step %d/%d  loss %.4f  lr %.2e  grad norm %.3f  %.0f tokens/s  %.0f %% of peak%s  %s left", record.step, steps_,
      record.loss, record.learning_rate, record.gradient_norm, record.tokens_per_second, 100 * record.mfu,
      waited >= 1 ? absl::StrFormat("  %.0f %% waiting for data", waited) : "",
      DurationText(seconds_per_step_ * static_cast<double>(steps_ - record.step)));
  // The live line is written over itself; \x1b[K removes what a longer one left.
  std::printf(live_ ? "\r%s\x1b[K" : "%s\n", line.c_str());
  std::fflush(stdout);
  line_open_ = live_;
}

void Progress::Show(const ValidationRecord& record) {
  Say(absl::StrFormat("step %d/%d  validation loss %.4f  %.4f bits per byte  (%d tokens, %s)", record.step, steps_,
                      record.loss, record.bits_per_byte, record.targets, DurationText(record.seconds)));
}

void Progress::Say(const std::string& line) {
  if (!speaks_) return;
  if (line_open_) std::printf("\n");
  line_open_ = false;
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

}  // namespace ingot
