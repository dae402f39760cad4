#include "kernels/emulator/crash.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "kernels/emulator/sanitizer.h"
#include "kernels/emulator/scheduler.h"

namespace ingot::emulator {
namespace {

std::array<char, 64 * 1024> signal_stack;

// Fit for a signal handler: snprintf into a local buffer and write.
void OnFault(int signal, siginfo_t* info, void*) {
  char text[512];
  int length = 0;
  if (TheScheduler().in_kernel()) {
    const Thread& thread = TheScheduler().current();
    const uint3& block = current_block.index;
    const char* const why = IsGuardOf(thread.fiber, info->si_addr) ? "the thread's stack of 64 KiB has run over"
                                                                   : "an address that is not there, or misaligned";
    length =
        std::snprintf(text, sizeof text,
                      "emulator: block (%u,%u,%u) thread (%u,%u,%u): memory fault at %p: %s; the thread last waited "
                      "at %s:%u\n",
                      block.x, block.y, block.z, thread.index.x, thread.index.y, thread.index.z, info->si_addr, why,
                      thread.site.file, thread.site.line);
  }
  if (length > 0 && write(STDERR_FILENO, text, static_cast<size_t>(length)) < 0) _exit(1);
  std::signal(signal, SIG_DFL);
  raise(signal);
}

}  // namespace

void ReportCrashes() {
  static bool done = false;
  if (done || kPoisons) return;
  done = true;
  stack_t stack{};
  stack.ss_sp = signal_stack.data();
  stack.ss_size = signal_stack.size();
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS}) sigaction(signal, &action, nullptr);
}

}  // namespace ingot::emulator
