// setmaxnreg. PTX ISA, "Miscellaneous Instructions: setmaxnreg".
#include <algorithm>
#include <array>

#include "kernels/emulator/fail.h"
#include "kernels/emulator/scheduler.h"
#include "kernels/emulator/synchronize.h"
#include "kernels/emulator/wgmma.h"

namespace ingot::emulator {
namespace {

constexpr int kAll = 65536, kMostAtLaunch = 255;

int free_registers = 0;
std::array<int, kMaxThreads> of_thread;
bool started = false;

// What a kernel whose bounds promise one block a multiprocessor begins with.
void Start() {
  started = true;
  const int threads = TheScheduler().threads();
  const int at_launch = std::min(kMostAtLaunch, kAll / threads) / 8 * 8;
  of_thread.fill(at_launch);
  free_registers = kAll - at_launch * threads;
}

}  // namespace

void SetMaxRegisters(int registers, bool increase, Site site) {
  WarpgroupCollective(increase ? "setmaxnreg.inc" : "setmaxnreg.dec", nullptr, nullptr, site);
  if (!started) Start();
  int& mine = of_thread[static_cast<size_t>(TheScheduler().current().linear)];
  if (registers < 24 || registers > 256 || registers % 8 != 0 || (increase ? registers < mine : registers > mine)) {
    Fail("setmaxnreg at %s:%u: %d registers where the thread has %d; a multiple of 8 from 24 to 256, %s", site.file,
         site.line, registers, mine, increase ? "and not less" : "and not more");
  }
  while (registers - mine > free_registers) WaitFor(&free_registers, "setmaxnreg.inc", site);
  free_registers -= registers - mine;
  mine = registers;
  if (!increase) Wake(&free_registers);
}

void ResetRegisterPool() { started = false; }

}  // namespace ingot::emulator
