#pragma once
// RunWatch: what a rank tells about itself while it trains: its flight record, and a watchdog that ends the process
// when a phase lasts too long.
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "distributed/control.h"
#include "distributed/flight_record.h"
#include "distributed/watchdog.h"

namespace ingot {

class RunWatch {
 public:
  struct Options {
    std::string run_directory;
    int64_t rank = 0, ranks = 1;
    double deadline_scale = 1;  // of PhaseDeadlines; 0: no watchdog
    // Called on the watchdog's thread before the process leaves with exit code 74: tells the other ranks.
    std::function<void(const std::string&)> tell;
  };
  // A record that cannot be written is no reason not to train: `note` then says why.
  explicit RunWatch(const Options& options, std::string& note);

  // The phase begins: thread-safe, a few stores.
  void Enter(int64_t step, Phase phase);
  // All ranks of this start have come and share this number.
  void Begin(uint64_t attempt);
  // An exchange with other ranks. Thread-safe.
  void Exchange(uint64_t sequence, uint64_t bytes, FlightState state);
  // The process will leave with `exit_code`. Nothing is too long any more.
  void End(int exit_code, const std::string& note);

 private:
  std::atomic<uint32_t> step_{0};
  std::atomic<Phase> phase_{Phase::kStart};
  std::unique_ptr<FlightRecord> record_;
  std::unique_ptr<Watchdog> watchdog_;
};

}  // namespace ingot
