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

// From here on the process takes these signals on a thread that does nothing else. To be called before it has other
// threads: oneDNN's generated code lets the stack pointer point into the heap, where the kernel would write the frame of a
// handler (seen with Debian's 2.6.3: heap corruption in 9 of 25 runs).
void GiveStopSignalsAThread();

// Number of the signal that came, 0 if none did.
int StopSignal();

// What a process leaves with that saved because of `signal`: 75 (ExitCode::kSaved) after SIGTERM and SIGUSR1, 130 after
// SIGINT, which a person sends and no script should act on.
int ExitCodeOfStop(int signal);

}  // namespace ingot
