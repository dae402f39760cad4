#include "core/training/stop.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "distributed/exit_codes.h"

namespace ingot {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGUSR1};

volatile std::sig_atomic_t stop_signal = 0;

// After the first signal of any kind the next of any kind ends the process.
void Note(int signal) {
  stop_signal = signal;
  for (const int other : kSignals) std::signal(other, SIG_DFL);
}

void Handle(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (const int signal : kSignals) sigaddset(&action.sa_mask, signal);  // one at a time
  for (const int signal : kSignals) sigaction(signal, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals() {
  stop_signal = 0;
  Handle(Note);
}

StopSignals::~StopSignals() { Handle(SIG_DFL); }

void GiveStopSignalsAThread() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : kSignals) sigaddset(&signals, signal);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    for (;;) pause();
  }).detach();
}

int StopSignal() { return stop_signal; }

int ExitCodeOfStop(int signal) { return signal == SIGINT ? 128 + SIGINT : static_cast<int>(ExitCode::kSaved); }

}  // namespace ingot
