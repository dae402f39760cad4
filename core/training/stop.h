#pragma once
// Asking a run to stop: SIGINT, SIGTERM and SIGUSR1 let it finish its step and save.

namespace ingot {

// While one lives, the first of these signals is only noted; a second one ends the process at once. One at a time.
// SIGUSR1 is what a batch system is asked to send before the time limit (sbatch --signal).
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
};

// Number of the signal that came, 0 if none did.
int StopSignal();

// What a process leaves with that saved because of `signal`: 75 (ExitCode::kSaved) after SIGTERM and SIGUSR1, 130 after
// SIGINT, which a person sends and no script should act on.
int ExitCodeOfStop(int signal);

}  // namespace ingot
