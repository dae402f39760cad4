#include "kernels/emulator/synchronize.h"

#include <cstdio>
#include <vector>

#include "kernels/emulator/fail.h"
#include "kernels/emulator/mbarrier.h"
#include "kernels/emulator/race.h"
#include "kernels/emulator/scheduler.h"

namespace ingot::emulator {
namespace {

struct BarrierState {
  int arrived = 0;           // of this generation, waiting or not
  int threads = 0;           // that it waits for
  Site site;                 // of the first that waits
  std::vector<int> waiting;  // linear indices
  race::Join of_arrivals;    // that do not wait
};
BarrierState barriers[kBarriers];

// The threads that the barrier waits for, after checking the arguments.
int CheckedCount(int id, int threads, const Site& site) {
  Scheduler& scheduler = TheScheduler();
  if (id < 0 || id >= kBarriers) Fail("barrier %d at %s:%u: ids are 0 to 15", id, site.file, site.line);
  if (threads == 0) {
    if (scheduler.exited() > 0) {
      Fail("barrier %d at %s:%u: %d threads of the block have exited and can never come", id, site.file, site.line,
           scheduler.exited());
    }
    return scheduler.threads();
  }
  if (threads % kWarp != 0 || threads > (scheduler.threads() + kWarp - 1) / kWarp * kWarp) {
    Fail("barrier %d at %s:%u: %d threads; the count is a multiple of 32 and at most the block's %d", id, site.file,
         site.line, threads, scheduler.threads());
  }
  return threads;
}

void Release(BarrierState& barrier) {
  Scheduler& scheduler = TheScheduler();
  race::Join& join = barrier.of_arrivals;
  const bool whole_block = static_cast<int>(barrier.waiting.size()) == scheduler.threads();
  if (whole_block) {
    race::JoinBlock();
  } else {
    for (const int i : barrier.waiting) join.Gather(i);
  }
  for (const int i : barrier.waiting) {
    if (!whole_block) join.Scatter(i);
    if (i != scheduler.current().linear) scheduler.Resume(scheduler.thread(i));
  }
  barrier.waiting.clear();
  join.Clear();
  barrier.arrived = 0;
}

BarrierState& Arrive(int id, int threads, const Site& site) {
  const int count = CheckedCount(id, threads, site);
  BarrierState& barrier = barriers[id];
  if (barrier.arrived > 0 && barrier.threads != count) {
    Fail("barrier %d at %s:%u: waits for %d threads, others at it for %d", id, site.file, site.line, count,
         barrier.threads);
  }
  barrier.threads = count;
  ++barrier.arrived;
  ++CurrentCounters().barriers;
  return barrier;
}

// Whether all lanes of `mask` wait in one and the same operation. Fails if they never can.
bool AllLanesHere(Thread& me, uint32_t mask) {
  Scheduler& scheduler = TheScheduler();
  const int base = me.warp() * kWarp;
  for (int lane = 0; lane < kWarp; ++lane) {
    if ((mask >> lane & 1) == 0 || lane == me.lane()) continue;
    if (base + lane >= scheduler.threads()) {
      Fail("%s at %s:%u: mask %08x names lane %d, beyond the block's last thread", me.operation, me.site.file,
           me.site.line, mask, lane);
    }
    const Thread& other = scheduler.thread(base + lane);
    if (other.state == State::kExited) {
      Fail("%s at %s:%u: lane %d of mask %08x has exited", me.operation, me.site.file, me.site.line, lane, mask);
    }
    if (other.state != State::kInWarpOperation || other.mask != mask) return false;
    if (other.operation != me.operation || !(other.site == me.site)) {
      Fail("divergent warp: %s at %s:%u:%u, but lane %d is in %s at %s:%u:%u", me.operation, me.site.file, me.site.line,
           me.site.column, lane, other.operation, other.site.file, other.site.line, other.site.column);
    }
  }
  return true;
}

bool AllOfWarpgroupHere(Thread& me, int base) {
  Scheduler& scheduler = TheScheduler();
  for (int i = base; i < base + kWarpgroup; ++i) {
    if (i == me.linear) continue;
    const Thread& other = scheduler.thread(i);
    if (other.state == State::kExited) {
      Fail("%s at %s:%u: thread %d of the warpgroup has exited", me.operation, me.site.file, me.site.line, i);
    }
    if (other.state != State::kInWarpgroupOperation) return false;
    if (other.operation != me.operation || !(other.site == me.site)) {
      Fail("divergent warpgroup: %s at %s:%u, but thread %d is in %s at %s:%u", me.operation, me.site.file,
           me.site.line, i, other.operation, other.site.file, other.site.line);
    }
  }
  return true;
}

const char* Describe(const Thread& thread) {
  switch (thread.state) {
    case State::kReady:
      return "can run";
    case State::kAtBarrier:
      return "at barrier";
    case State::kInWarpOperation:
    case State::kInWarpgroupOperation:
      return "waits for its warp in";
    case State::kWaiting:
      return "waits in";
    case State::kExited:
      return "has exited";
  }
  return "";
}

bool SamePlace(const Thread& a, const Thread& b) {
  return a.state == b.state && a.site == b.site && a.mask == b.mask && a.barrier == b.barrier;
}

}  // namespace

void Barrier(int id, int threads, Site site) {
  Scheduler& scheduler = TheScheduler();
  Thread& me = scheduler.current();
  me.site = site;
  me.operation = "barrier";
  me.barrier = id;
  me.mask = 0;
  BarrierState& barrier = Arrive(id, threads, site);
  if (barrier.waiting.empty()) {
    barrier.site = site;
  } else if (!(barrier.site == site)) {
    Fail("divergent barrier %d: this thread at %s:%u:%u, thread %d at %s:%u:%u", id, site.file, site.line, site.column,
         barrier.waiting.front(), barrier.site.file, barrier.site.line, barrier.site.column);
  }
  barrier.waiting.push_back(me.linear);
  if (barrier.arrived < barrier.threads) return scheduler.Suspend(State::kAtBarrier);
  Release(barrier);
  scheduler.Yield();
}

void BarrierArrive(int id, int threads, Site site) {
  if (threads == 0) Fail("bar.arrive at %s:%u needs a number of threads", site.file, site.line);
  BarrierState& barrier = Arrive(id, threads, site);
  barrier.of_arrivals.Gather(TheScheduler().current().linear);
  race::Advance(TheScheduler().current().linear);
  if (barrier.arrived == barrier.threads) Release(barrier);
}

void WarpCollective(const char* operation, uint32_t mask, void* argument, Collective function, bool orders_memory,
                    Site site) {
  Scheduler& scheduler = TheScheduler();
  Thread& me = scheduler.current();
  me.site = site;
  me.operation = operation;
  me.mask = mask;
  me.argument = argument;
  ++CurrentCounters().warp_operations;
  if ((mask >> me.lane() & 1) == 0) {
    Fail("%s at %s:%u: lane %d calls with mask %08x, which leaves it out", operation, site.file, site.line, me.lane(),
         mask);
  }
  if (!AllLanesHere(me, mask)) return scheduler.Suspend(State::kInWarpOperation);
  const int base = me.warp() * kWarp;
  void* arguments[kWarp] = {};
  race::Join join;
  for (int lane = 0; lane < kWarp; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    arguments[lane] = scheduler.thread(base + lane).argument;
    if (orders_memory) join.Gather(base + lane);
  }
  if (function != nullptr) function(arguments, mask);
  for (int lane = 0; lane < kWarp; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    if (orders_memory) join.Scatter(base + lane);
    if (lane != me.lane()) scheduler.Resume(scheduler.thread(base + lane));
  }
  scheduler.Yield();
}

void WarpgroupCollective(const char* operation, void* argument, WarpgroupFunction function, Site site) {
  Scheduler& scheduler = TheScheduler();
  Thread& me = scheduler.current();
  me.site = site;
  me.operation = operation;
  me.mask = 0;
  me.argument = argument;
  ++CurrentCounters().warp_operations;
  const int base = me.linear / kWarpgroup * kWarpgroup;
  if (base + kWarpgroup > scheduler.threads()) {
    Fail("%s at %s:%u: thread %d has no whole warpgroup of 128 threads", operation, site.file, site.line, me.linear);
  }
  if (!AllOfWarpgroupHere(me, base)) return scheduler.Suspend(State::kInWarpgroupOperation);
  void* arguments[kWarpgroup];
  for (int i = 0; i < kWarpgroup; ++i) arguments[i] = scheduler.thread(base + i).argument;
  if (function != nullptr) function(arguments);
  for (int i = 0; i < kWarpgroup; ++i) {
    if (base + i != me.linear) scheduler.Resume(scheduler.thread(base + i));
  }
  scheduler.Yield();
}

void WaitFor(const void* key, const char* operation, Site site) {
  Thread& me = TheScheduler().current();
  me.site = site;
  me.operation = operation;
  me.mask = 0;
  me.key = key;
  TheScheduler().Suspend(State::kWaiting);
}

void Wake(const void* key) {
  Scheduler& scheduler = TheScheduler();
  for (int i = 0; i < scheduler.threads(); ++i) {
    Thread& thread = scheduler.thread(i);
    if (thread.state == State::kWaiting && thread.key == key) scheduler.Resume(thread);
  }
}

void ResetBarriers() {
  for (BarrierState& barrier : barriers) barrier = BarrierState();
}

void CheckAllExited() {
  Scheduler& scheduler = TheScheduler();
  if (scheduler.exited() == scheduler.threads()) return;
  std::fprintf(stderr, "emulator: no thread can go on; the first of each group that stands at one place:\n");
  constexpr int kShown = 16;
  for (int i = 0, shown = 0; i < scheduler.threads() && shown < kShown; ++i) {
    const Thread& thread = scheduler.thread(i);
    if (i > 0 && SamePlace(thread, scheduler.thread(i - 1))) continue;
    ++shown;
    std::fprintf(stderr, "  thread %d: %s %s at %s:%u (mask %08x, barrier %d)\n", i, Describe(thread),
                 thread.state == State::kExited ? "" : thread.operation, thread.site.file, thread.site.line,
                 thread.mask, thread.barrier);
  }
  DescribeMbarriers();
  const uint3& block = current_block.index;
  Fail("deadlock in block (%u,%u,%u): %d of %d threads have exited", block.x, block.y, block.z, scheduler.exited(),
       scheduler.threads());
}

}  // namespace ingot::emulator
