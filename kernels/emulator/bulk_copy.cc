#include "kernels/emulator/bulk_copy.h"

#include <cstring>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "kernels/emulator/fail.h"
#include "kernels/emulator/mbarrier.h"
#include "kernels/emulator/memory.h"
#include "kernels/emulator/scheduler.h"
#include "kernels/emulator/shared_matrix.h"

namespace ingot::emulator {
namespace {

struct BulkCopy {
  TensorMap map;
  int at[kMaxTensorRank];
  uint32_t shared;
  void* barrier;  // null: a store
  uint32_t clock;
  Site site;
};

struct StoresOfThread {
  std::vector<BulkCopy> open;
  std::deque<std::vector<BulkCopy>> groups;
  race::Engine engine;
};

Copies policy = Copies::kLate;
Random random_landing;
std::vector<BulkCopy> loads;  // in flight
std::map<int, StoresOfThread>& Stores() {
  static auto& stores = *new std::map<int, StoresOfThread>;
  return stores;
}

void Move(const BulkCopy& copy) {
  const bool load = copy.barrier != nullptr;
  ForEachPart(copy.map, copy.at, copy.shared, [&](uint32_t shared, unsigned char* device, uint32_t bytes) {
    unsigned char* const here = SharedBytes(shared, bytes, "bulk copy", copy.site);
    if (!load) {
      if (device != nullptr) std::memcpy(device, here, bytes);
    } else if (device == nullptr) {
      std::memset(here, 0, bytes);
    } else {
      std::memcpy(here, device, bytes);
    }
  });
}

void Touch(const race::Engine& engine, const BulkCopy& copy) {
  if (!kRaceBuild) return;
  const bool load = copy.barrier != nullptr;
  const int thread = TheScheduler().current().linear;
  ForEachPart(copy.map, copy.at, copy.shared, [&](uint32_t shared, unsigned char* device, uint32_t bytes) {
    if (device != nullptr) engine.Touch(thread, copy.clock, device, bytes, !load, copy.site);
    engine.Touch(thread, copy.clock, SharedBytes(shared, bytes, "bulk copy", copy.site), bytes, load, copy.site);
  });
}

void Land(const BulkCopy& load) {
  Move(load);
  CompleteBytes(load.barrier, BoxBytes(load.map), load.clock, load.site);
}

void LandAnyLoad() {
  const uint32_t at = random_landing.Below(static_cast<uint32_t>(loads.size()));
  const BulkCopy load = std::exchange(loads[at], loads.back());
  loads.pop_back();
  Land(load);
}

void IssueLoad(BulkCopy copy) {
  race::Engine& engine = AddCopy(copy.barrier, copy.site);
  copy.clock = engine.Issue();
  Touch(engine, copy);
  if (policy == Copies::kEarly) {
    Land(copy);
  } else {
    loads.push_back(copy);
  }
  TheScheduler().current().site = copy.site;
  TheScheduler().Yield();
}

// An early store has read its bytes at issue; moving all of it then is as early as can be.
void IssueStore(BulkCopy copy) {
  StoresOfThread& mine = Stores()[TheScheduler().current().linear];
  copy.clock = mine.engine.Issue();
  Touch(mine.engine, copy);
  if (policy == Copies::kEarly) Move(copy);
  mine.open.push_back(copy);
}

// A range as a tensor of one dimension.
BulkCopy Range(void* shared, void* device, uint32_t bytes, void* barrier, const Site& site) {
  CheckShared(shared, bytes, 16, "cp.async.bulk", site.file, site.line);
  if (bytes % 16 != 0 || reinterpret_cast<uintptr_t>(device) % 16 != 0) {
    Fail("cp.async.bulk at %s:%u: %u bytes at %p; size and address are multiples of 16", site.file, site.line, bytes,
         device);
  }
  TensorMap map{};
  map.base = static_cast<unsigned char*>(device);
  map.rank = 1;
  map.span = 16;
  map.strides[0] = 16;
  map.sizes[0] = map.box[0] = static_cast<uint16_t>(bytes / 16);
  return {.map = map, .at = {}, .shared = SharedAddress(shared), .barrier = barrier, .clock = 0, .site = site};
}

BulkCopy Box(void* shared, const void* address, void* barrier, const int (&at)[kMaxTensorRank], int rank,
             const Site& site) {
  TensorMap map;
  std::memcpy(&map, address, sizeof map);
  if (map.cookie != kTensorMapCookie) Fail("tensor copy at %s:%u: that is no tensor map", site.file, site.line);
  if (map.rank != rank) {
    Fail("tensor copy at %s:%u: %d coordinates for a map of %d dimensions", site.file, site.line, rank, map.rank);
  }
  CheckShared(shared, BoxBytes(map), 128, "tensor copy", site.file, site.line);
  BulkCopy copy{.map = map, .at = {}, .shared = SharedAddress(shared), .barrier = barrier, .clock = 0, .site = site};
  for (int d = 0; d < rank; ++d) {
    copy.at[d] = at[d];
    if (barrier == nullptr && at[d] < 0) {
      Fail("tensor store at %s:%u: coordinate %d is %d; a store starts inside", site.file, site.line, d, at[d]);
    }
  }
  return copy;
}

}  // namespace

void TensorLoad(void* shared, const void* map, void* barrier, const int (&at)[kMaxTensorRank], int rank, Site site) {
  IssueLoad(Box(shared, map, barrier, at, rank, site));
}

void BulkLoad(void* shared, const void* device, uint32_t bytes, void* barrier, Site site) {
  IssueLoad(Range(shared, const_cast<void*>(device), bytes, barrier, site));
}

void TensorStore(const void* map, const void* shared, const int (&at)[kMaxTensorRank], int rank, Site site) {
  IssueStore(Box(const_cast<void*>(shared), map, nullptr, at, rank, site));
}

void BulkStore(void* device, const void* shared, uint32_t bytes, Site site) {
  IssueStore(Range(const_cast<void*>(shared), device, bytes, nullptr, site));
}

void BulkCommit() {
  StoresOfThread& mine = Stores()[TheScheduler().current().linear];
  mine.groups.push_back(std::exchange(mine.open, {}));
}

void BulkWait(int pending) {
  const int me = TheScheduler().current().linear;
  StoresOfThread& mine = Stores()[me];
  while (mine.groups.size() > static_cast<size_t>(pending)) {
    for (const BulkCopy& store : mine.groups.front()) {
      if (policy != Copies::kEarly) Move(store);
      mine.engine.Complete(store.clock);
    }
    mine.groups.pop_front();
  }
  mine.engine.Teach(me);
}

void StartBulkCopies(const Options& options) {
  policy = options.copies;
  random_landing = Random(options.seed * 2 + 3);
}

bool LandOneBulkCopy() {
  if (loads.empty()) return false;
  LandAnyLoad();
  return true;
}

void LandBulkCopiesAtRandom() {
  if (!loads.empty() && random_landing.Below(4) == 0) LandAnyLoad();
}

void CheckNoBulkCopyInFlight() {
  const Site* left = loads.empty() ? nullptr : &loads.front().site;
  for (const auto& [thread, stores] : Stores()) {
    if (!stores.open.empty()) left = &stores.open.front().site;
    for (const std::vector<BulkCopy>& group : stores.groups) {
      if (!group.empty()) left = &group.front().site;
    }
  }
  if (left != nullptr) Fail("bulk copy at %s:%u: the block has ended without waiting for it", left->file, left->line);
  Stores().clear();
}

}  // namespace ingot::emulator
