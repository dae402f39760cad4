#include "core/training/stop.h"

#include <csignal>

namespace ingot {
namespace {

volatile std::sig_atomic_t stop_signal = 0;

void Note(int signal) { stop_signal = signal; }

void Handle(void (*handler)(int)) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);  // after the first one the default holds again
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals() {
  stop_signal = 0;
  Handle(Note);
}

StopSignals::~StopSignals() { Handle(SIG_DFL); }

int StopSignal() { return stop_signal; }

}  // namespace ingot
