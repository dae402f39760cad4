#pragma once
// Watchdog: ends a rank that stays in one phase for too long, so that a hang costs minutes and not a reservation.
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "distributed/control.h"

namespace ingot {

// How long a phase may last: max(floor, 20 medians of the last 32 times it was done); `first` until it was done three
// times, since nobody knows yet how long a step of this model takes. A pure clockwork: time is an argument.
class PhaseDeadlines {
 public:
  using Time = std::chrono::nanoseconds;  // of a clock that never goes back
  static constexpr double kFactor = 20;
  static constexpr size_t kSamples = 32;

  // `scale` multiplies all floors and firsts.
  explicit PhaseDeadlines(double scale = 1) : scale_(scale) {}

  // The phase begins, the one before ends. The same phase again is a new beginning: a sign of life.
  void Enter(uint64_t step, Phase phase, Time now);
  // What is wrong; nothing while the phase is in time. To be called a few times a second: if much more time than that
  // has passed since the last call, the whole process was stopped, and that time does not count.
  std::optional<std::string> Check(Time now);

  Time Limit(Phase phase) const;

 private:
  static constexpr Time kGap = std::chrono::seconds(2);
  double scale_;
  uint64_t step_ = 0;
  Phase phase_ = Phase::kEnd;
  Time since_{0}, last_check_{0};
  std::array<std::vector<Time>, static_cast<size_t>(Phase::kEnd) + 1> samples_;
};

class Watchdog {
 public:
  // `expired` is called once, on the watchdog's thread, and should end the process.
  Watchdog(double scale, std::function<void(const std::string&)> expired);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Thread-safe. Phase::kEnd is never too long.
  void Enter(uint64_t step, Phase phase);

 private:
  void Watch();
  std::mutex mutex_;
  std::condition_variable wake_;
  bool leaving_ = false;
  PhaseDeadlines deadlines_;
  std::function<void(const std::string&)> expired_;
  std::thread thread_;
};

}  // namespace ingot
