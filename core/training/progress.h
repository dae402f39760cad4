#pragma once
// The progress line of a run: live on a terminal, elsewhere a plain line every few seconds.
#include <chrono>
#include <cstdint>
#include <string>

#include "core/training/metrics.h"

namespace ingot {

class Progress {
 public:
  // For a run of `steps` steps, on standard output; unless it `speaks`, silent.
  explicit Progress(int64_t steps, bool speaks = true);

  // The state after a step; shown if it is time to, always for the last step.
  void Show(const TrainingRecord& record);
  void Show(const ValidationRecord& record);
  // A line that stays.
  void Say(const std::string& line);

 private:
  using Clock = std::chrono::steady_clock;
  int64_t steps_;
  bool speaks_;
  bool live_;                    // standard output is a terminal
  bool line_open_ = false;       // the live line stands unfinished
  double seconds_per_step_ = 0;  // smoothed over about ten steps
  Clock::time_point shown_{};
};

// "45 s", "12 min", "3 h 20 min".
std::string DurationText(double seconds);

}  // namespace ingot
