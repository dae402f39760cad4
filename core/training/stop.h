#pragma once
// Asking a run to stop: SIGINT and SIGTERM let it finish its step and save.

namespace ingot {

// While one lives, the first SIGINT or SIGTERM is only noted; a second one ends the process at once. One at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
};

// Number of the signal that came, 0 if none did.
int StopSignal();

}  // namespace ingot
