#include "kernels/emulator/async_copy.h"

#include <cstring>
#include <deque>
#include <vector>

#include "kernels/emulator/fail.h"
#include "kernels/emulator/memory.h"
#include "kernels/emulator/race.h"
#include "kernels/emulator/scheduler.h"

namespace ingot::emulator {
namespace {

constexpr size_t kCopyBytes = 16;

struct Copy {
  void* target;
  const void* source;  // null: zeros
  bool landed;
  Site site;
};

// The copies of one thread, oldest first; `group_ends` are positions behind a group's last copy.
struct ThreadCopies {
  std::deque<Copy> copies;
  std::deque<size_t> group_sizes;
  size_t open = 0;  // of the copies, the newest, not yet in a group
};

Copies policy = Copies::kLate;
Random random_landing;
ThreadCopies of_thread[kMaxThreads];
// Threads that may have copies which have not landed, for kRandom; entries may be stale.
std::vector<int> in_flight;

void Land(Copy& copy) {
  if (copy.landed) return;
  if (copy.source == nullptr) {
    std::memset(copy.target, 0, kCopyBytes);
  } else {
    std::memcpy(copy.target, copy.source, kCopyBytes);
  }
  copy.landed = true;
}

}  // namespace

// One copy of somebody lands, now and then. No order holds between copies.
void LandCopiesAtRandom() {
  if (in_flight.empty() || random_landing.Below(4) != 0) return;
  const uint32_t at = random_landing.Below(static_cast<uint32_t>(in_flight.size()));
  std::deque<Copy>& copies = of_thread[in_flight[at]].copies;
  if (!copies.empty()) Land(copies[random_landing.Below(static_cast<uint32_t>(copies.size()))]);
  in_flight[at] = in_flight.back();
  in_flight.pop_back();
}

void CopyAsync16(void* shared, const void* source, bool valid, Site site) {
  CheckShared(shared, kCopyBytes, kCopyBytes, "cp.async", site.file, site.line);
  if (valid && reinterpret_cast<uintptr_t>(source) % kCopyBytes != 0) {
    Fail("cp.async at %s:%u: the source %p is not 16-byte aligned", site.file, site.line, source);
  }
  const int thread = TheScheduler().current().linear;
  ThreadCopies& mine = of_thread[thread];
  for (size_t i = mine.copies.size() - mine.open; i < mine.copies.size(); ++i) {
    if (mine.copies[i].target != shared) continue;
    Fail("cp.async at %s:%u: two copies of one group to the same bytes; the other is at %s:%u", site.file, site.line,
         mine.copies[i].site.file, mine.copies[i].site.line);
  }
  mine.copies.push_back({shared, valid ? source : nullptr, false, site});
  ++mine.open;
  race::CopyIssued(shared, valid ? source : nullptr, kCopyBytes, site);
  if (policy == Copies::kEarly) Land(mine.copies.back());
  if (policy == Copies::kRandom) in_flight.push_back(thread);
}

void CopyAsyncCommit() {
  ThreadCopies& mine = of_thread[TheScheduler().current().linear];
  mine.group_sizes.push_back(mine.open);
  mine.open = 0;
  race::CopiesCommitted();
}

void CopyAsyncWait(int pending) {
  ThreadCopies& mine = of_thread[TheScheduler().current().linear];
  race::CopiesWaitedFor(pending);
  while (mine.group_sizes.size() > static_cast<size_t>(pending)) {
    for (size_t i = 0; i < mine.group_sizes.front(); ++i) {
      Land(mine.copies.front());
      mine.copies.pop_front();
    }
    mine.group_sizes.pop_front();
  }
}

void StartCopies(const Options& options) {
  policy = options.copies;
  random_landing = Random(options.seed * 2 + 1);
}

void CheckNoCopyInFlight() {
  in_flight.clear();
  for (int thread = 0; thread < TheScheduler().threads(); ++thread) {
    ThreadCopies& left = of_thread[thread];
    if (!left.copies.empty()) {
      Fail("cp.async at %s:%u: thread %d has exited without waiting for this copy", left.copies.front().site.file,
           left.copies.front().site.line, thread);
    }
    left.group_sizes.clear();
  }
}

}  // namespace ingot::emulator
