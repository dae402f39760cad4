#include "kernels/emulator/mbarrier.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "kernels/emulator/fail.h"
#include "kernels/emulator/memory.h"
#include "kernels/emulator/scheduler.h"
#include "kernels/emulator/shared_matrix.h"
#include "kernels/emulator/synchronize.h"

namespace ingot::emulator {
namespace {

constexpr int64_t kMost = (1 << 20) - 1;
constexpr uint64_t kCookie =
    0x7265697272616221u;  // what its bytes hold here, to tell that somebody has stored over them

struct Mbarrier {
  int arrivals = 0, pending = 0;
  int64_t bytes = 0;  // expected and not yet landed; negative where they land before they are expected
  uint32_t phase = 0;
  int in_flight = 0;  // copies
  int initialiser = 0;
  bool fenced = false;
  race::Join known, known_at_completion;
  race::Engine copies;
};

std::map<const void*, Mbarrier>& Mbarriers() {
  static auto& mbarriers = *new std::map<const void*, Mbarrier>;
  return mbarriers;
}

Mbarrier& Find(const void* barrier, const char* what, const Site& site) {
  const auto found = Mbarriers().find(barrier);
  if (found == Mbarriers().end())
    Fail("%s at %s:%u: no mbarrier has been initialised there", what, site.file, site.line);
  uint64_t cookie = 0;
  std::memcpy(&cookie, barrier, sizeof cookie);
  if (cookie != kCookie) Fail("%s at %s:%u: somebody has stored over the mbarrier", what, site.file, site.line);
  return found->second;
}

void CompletePhaseIfDone(void* barrier, Mbarrier& mbarrier, const Site& site) {
  if (mbarrier.pending > 0 || mbarrier.bytes != 0) return;
  if (mbarrier.in_flight > 0) {
    Fail("mbarrier at %s:%u: a phase completes while %d of its copies are in flight; it expected too few bytes",
         site.file, site.line, mbarrier.in_flight);
  }
  ++mbarrier.phase;
  mbarrier.pending = mbarrier.arrivals;
  mbarrier.known_at_completion = mbarrier.known;
  Wake(barrier);
}

void AddBytes(Mbarrier& mbarrier, int64_t bytes, const Site& site) {
  mbarrier.bytes += bytes;
  if (std::llabs(mbarrier.bytes) > kMost) {
    Fail("mbarrier at %s:%u: %lld bytes are pending; at most %lld can be counted", site.file, site.line,
         static_cast<long long>(mbarrier.bytes), static_cast<long long>(kMost));
  }
}

void MarkFenced() {
  for (auto& [at, mbarrier] : Mbarriers()) mbarrier.fenced |= mbarrier.initialiser == TheScheduler().current().linear;
}

}  // namespace

void MbarrierInit(void* barrier, int arrivals, Site site) {
  CheckShared(barrier, 8, 8, "mbarrier.init", site.file, site.line);
  if (arrivals < 1 || arrivals > kMost) {
    Fail("mbarrier.init at %s:%u: %d arrivals; the count is 1 to %lld", site.file, site.line, arrivals,
         static_cast<long long>(kMost));
  }
  if (Mbarriers().count(barrier) > 0) Fail("mbarrier.init at %s:%u: a live mbarrier is there", site.file, site.line);
  race::NoteWrite(barrier, 8, site);
  std::memcpy(barrier, &kCookie, sizeof kCookie);
  Mbarrier& mbarrier = Mbarriers()[barrier];
  mbarrier.arrivals = mbarrier.pending = arrivals;
  mbarrier.initialiser = TheScheduler().current().linear;
}

void MbarrierInvalidate(void* barrier, Site site) {
  Find(barrier, "mbarrier.inval", site);
  race::NoteWrite(barrier, 8, site);
  std::memset(barrier, 0xFF, 8);
  Mbarriers().erase(barrier);
}

void MbarrierArrive(void* barrier, uint32_t bytes, Site site) {
  Mbarrier& mbarrier = Find(barrier, "mbarrier.arrive", site);
  race::NoteRead(barrier, 8, site);
  if (mbarrier.pending == 0) {
    Fail("mbarrier.arrive at %s:%u: more arrivals than the %d it counts in a phase", site.file, site.line,
         mbarrier.arrivals);
  }
  AddBytes(mbarrier, bytes, site);
  const int me = TheScheduler().current().linear;
  mbarrier.known.Gather(me);
  race::Advance(me);
  --mbarrier.pending;
  CompletePhaseIfDone(barrier, mbarrier, site);
  TheScheduler().current().site = site;
  TheScheduler().Yield();
}

bool MbarrierTryWait(void* barrier, uint32_t parity, Site site) {
  Scheduler& scheduler = TheScheduler();
  race::NoteRead(barrier, 8, site);
  if ((Find(barrier, "mbarrier.try_wait", site).phase & 1) == parity) {
    WaitFor(barrier, "mbarrier.try_wait", site);
    // Hardware gives up after a time of its own.
    if (CurrentOptions().schedule == Schedule::kRandom && scheduler.random().Below(4) == 0) return false;
  }
  Mbarrier& mbarrier = Find(barrier, "mbarrier.try_wait", site);
  if ((mbarrier.phase & 1) == parity) return false;
  race::Join known = mbarrier.known_at_completion;
  known.Gather(scheduler.current().linear);
  known.Scatter(scheduler.current().linear);
  return true;
}

void FenceMbarrierInit() { MarkFenced(); }

void FenceProxyAsync() {
  MarkFenced();
  race::NoteProxyFence();
}

race::Engine& AddCopy(void* barrier, const Site& site) {
  race::NoteRead(barrier, 8, site);
  Mbarrier& mbarrier = Find(barrier, "bulk copy", site);
  if (!mbarrier.fenced) {
    Fail("bulk copy at %s:%u: no fence.mbarrier_init or fence.proxy.async behind the mbarrier's init", site.file,
         site.line);
  }
  ++mbarrier.in_flight;
  return mbarrier.copies;
}

void CompleteBytes(void* barrier, uint32_t bytes, uint32_t clock, const Site& site) {
  Mbarrier& mbarrier = Find(barrier, "bulk copy", site);
  --mbarrier.in_flight;
  mbarrier.copies.Complete(clock);
  mbarrier.copies.Teach(mbarrier.known);
  AddBytes(mbarrier, -int64_t{bytes}, site);
  CompletePhaseIfDone(barrier, mbarrier, site);
}

void ResetMbarriers() { Mbarriers().clear(); }

void CheckMbarriers() {
  for (const auto& [at, mbarrier] : Mbarriers()) {
    if (mbarrier.bytes == 0) continue;
    Fail("the mbarrier at shared byte %u: the block has ended with %lld bytes %s", SharedAddress(at) - kSharedBase,
         std::llabs(mbarrier.bytes), mbarrier.bytes > 0 ? "yet to land" : "landed that nobody had expected");
  }
}

void DescribeMbarriers() {
  for (const auto& [at, mbarrier] : Mbarriers()) {
    std::fprintf(stderr, "  mbarrier at shared byte %u: phase %u, %d of %d arrivals to come, %lld bytes to land\n",
                 SharedAddress(at) - kSharedBase, mbarrier.phase, mbarrier.pending, mbarrier.arrivals,
                 static_cast<long long>(mbarrier.bytes));
  }
}

}  // namespace ingot::emulator
