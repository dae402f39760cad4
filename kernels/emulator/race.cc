#include "kernels/emulator/race.h"

#ifdef INGOT_RACE_BUILD

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <unordered_map>

#include "kernels/emulator/fail.h"
#include "kernels/emulator/options.h"
#include "kernels/emulator/race_clocks.h"
#include "kernels/emulator/race_report.h"
#include "kernels/emulator/scheduler.h"

namespace ingot::emulator::race {
namespace {

constexpr uintptr_t kPage = 4096;
constexpr uintptr_t kMargin = 1024;  // the red zone, see memory.cc
constexpr uint32_t kNoBlock = 0xffffffff, kManyBlocks = 0xfffffffe;

// What is known of two bytes, or of one once somebody has accessed single bytes of the page.
struct Cell {
  Access write, read;
  std::unique_ptr<std::vector<Access>> more_reads;  // that nothing orders behind `read`
  uint32_t stamp = 0;                               // of the block that all of this is about
  bool atomic = false;                              // the write
  // Device memory, across the blocks of one launch.
  uint32_t launch = 0, writer = kNoBlock, writer_releases = 0, reader = kNoBlock;
  bool writer_atomic = false;
  uint64_t writer_place = 0, reader_place = 0;
};

struct Page {
  uintptr_t granule = 2;
  std::vector<Cell> cells{kPage / 2};
};

struct Region {
  uintptr_t begin = 0, end = 0;
  bool shared = false;
  std::string what;
  std::map<uintptr_t, Page> pages;
};

struct Request {
  int thread;
  Access access;
  bool write, atomic, by_copies;
  bool by_engine = false;
};

struct Registers {
  uintptr_t begin, end;
};

class Detector {
 public:
  Clocks clocks;

  void Add(uintptr_t begin, size_t bytes, bool shared, const std::string& what) {
    Region& region = regions_[begin];
    region.begin = begin;
    region.end = begin + bytes;
    region.shared = shared;
    region.what = what;
    last_ = nullptr;
  }
  void Remove(uintptr_t begin) {
    regions_.erase(begin);
    last_ = nullptr;
  }
  void StartLaunch() {
    ++launch_;
    races_before_ = CurrentCounters().races;
    released_.clear();
  }
  int64_t RacesOfLaunch() const { return CurrentCounters().races - races_before_; }
  void StartBlock(int threads, uint32_t block) {
    clocks.Start(threads);
    ++stamp_;
    block_ = block;
    releases_ = 0;
    acquired_.clear();
    fenced_.assign(static_cast<size_t>(threads), false);
    last_atomic_.assign(static_cast<size_t>(threads), 0);
    hidden_.resize(static_cast<size_t>(threads));
  }
  std::vector<Registers>& HiddenOf(int thread) { return hidden_[static_cast<size_t>(thread)]; }

  void See(uintptr_t address, size_t bytes, const Request& request);
  Region* Find(uintptr_t address);

  // An atomic of `thread` behind its fence releases, a fence behind its atomic acquires.
  void AtomicOf(int thread, uintptr_t address) {
    const auto t = static_cast<size_t>(thread);
    if (fenced_[t]) released_[address][block_] = ++releases_;
    last_atomic_[t] = address;
  }
  void FenceOf(int thread) {
    const auto t = static_cast<size_t>(thread);
    fenced_[t] = true;
    for (const auto& [block, releases] : released_[last_atomic_[t]]) {
      uint32_t& known = acquired_[block];
      known = std::max(known, releases);
    }
  }

 private:
  Cell& CellAt(Page& page, uintptr_t offset) { return page.cells[offset / page.granule]; }
  Page& PageOf(Region& region, uintptr_t address, size_t bytes);
  void SeeCell(Region& region, Cell& cell, uintptr_t address, const Request& request);
  void SeeBetweenBlocks(Region& region, Cell& cell, uintptr_t address, const Request& request);
  bool HasReleased(uint32_t block, uint32_t releases) const {
    const auto known = acquired_.find(block);
    return known != acquired_.end() && known->second > releases;
  }
  void Report(const char* kind, const Region& region, uintptr_t address, const Access& first,
              const Access& second) const;

  std::map<uintptr_t, Region> regions_;
  Region* last_ = nullptr;
  uint32_t stamp_ = 0, launch_ = 0, block_ = 0, releases_ = 0;
  int64_t races_before_ = 0;
  std::unordered_map<uintptr_t, std::unordered_map<uint32_t, uint32_t>> released_;
  std::unordered_map<uint32_t, uint32_t> acquired_;
  std::vector<bool> fenced_;
  std::vector<uintptr_t> last_atomic_;
  std::vector<std::vector<Registers>> hidden_;
};

Detector& TheDetector() {
  static Detector& detector = *new Detector;
  return detector;
}

Region* Detector::Find(uintptr_t address) {
  if (last_ != nullptr && address + kMargin >= last_->begin && address < last_->end + kMargin) return last_;
  auto next = regions_.upper_bound(address);
  if (next != regions_.end() && address + kMargin >= next->second.begin) return last_ = &next->second;
  if (next == regions_.begin()) return nullptr;
  Region& before = std::prev(next)->second;
  return address < before.end + kMargin ? last_ = &before : nullptr;
}

Page& Detector::PageOf(Region& region, uintptr_t address, size_t bytes) {
  Page& page = region.pages[(address - region.begin) / kPage];
  if (page.granule == 2 && (address % 2 != 0 || bytes % 2 != 0)) {
    std::vector<Cell> finer(kPage);
    for (size_t i = 0; i < kPage; ++i) {
      Cell& from = page.cells[i / 2];
      finer[i].write = from.write;
      finer[i].read = from.read;
      finer[i].stamp = from.stamp;
      finer[i].atomic = from.atomic;
    }
    page.cells = std::move(finer);
    page.granule = 1;
  }
  return page;
}

std::string ActorName(const Access& access, int threads) {
  const int actor = access.actor;
  if (actor >= 2 * threads) return "asynchronous operation";
  return actor < threads ? "thread " + std::to_string(actor) : "copy of thread " + std::to_string(actor - threads);
}

void Detector::Report(const char* kind, const Region& region, uintptr_t address, const Access& first,
                      const Access& second) const {
  const int threads = clocks.threads();
  ReportRace(std::string(kind) + ") in " + (region.shared ? "shared" : "device") + " memory '" + region.what + "' + " +
                 std::to_string(address - region.begin) + ", block " + std::to_string(block_) + ": " +
                 ActorName(first, threads) + ", then " + ActorName(second, threads),
             first.place, second.place);
}

void Detector::See(uintptr_t address, size_t bytes, const Request& request) {
  Region* const region = Find(address);
  if (region == nullptr) return;
  if (address < region->begin || address + bytes > region->end) {
    Fail("access of %zu bytes at %s: %s %s memory '%s' of %zu bytes", bytes, TextOf(request.access.place).c_str(),
         address < region->begin ? "before the start of" : "beyond the end of", region->shared ? "shared" : "device",
         region->what.c_str(), region->end - region->begin);
  }
  for (uintptr_t at = address; at < address + bytes;) {
    Page& page = PageOf(*region, address, bytes);
    SeeCell(*region, CellAt(page, (at - region->begin) % kPage), at, request);
    const uintptr_t step = page.granule - (at - region->begin) % page.granule;
    at += step;
    if ((at - region->begin) % kPage == 0 && at < address + bytes) return See(at, address + bytes - at, request);
  }
}

void Detector::SeeCell(Region& region, Cell& cell, uintptr_t address, const Request& request) {
  if (cell.stamp != stamp_) {
    if (region.shared && !request.write) {
      Report("read of what was never written", region, address, request.access, request.access);
    }
    cell.stamp = stamp_;
    cell.write = cell.read = Access();
    cell.atomic = false;
    if (cell.more_reads != nullptr) cell.more_reads->clear();
  }
  const auto known = [&](const Access& access) {
    return access.actor == kNobody || clocks.Knows(request.thread, access, request.by_copies);
  };
  const bool both_atomic = request.atomic && cell.atomic;
  if (!both_atomic && !known(cell.write)) {
    Report(request.write ? "write-write" : "write-read", region, address, cell.write, request.access);
  } else if (request.by_engine && cell.write.actor != kNobody && !clocks.KnowsFence(request.thread, cell.write)) {
    Report("missing fence.proxy.async", region, address, cell.write, request.access);
  }
  if (request.write) {
    if (!both_atomic && !known(cell.read)) Report("read-write", region, address, cell.read, request.access);
    if (cell.more_reads != nullptr) {
      for (const Access& read : *cell.more_reads) {
        if (!both_atomic && !known(read)) Report("read-write", region, address, read, request.access);
      }
      cell.more_reads->clear();
    }
    cell.write = request.access;
    cell.atomic = request.atomic;
    cell.read = Access();
  } else if (known(cell.read)) {
    cell.read = request.access;
  } else {
    if (cell.more_reads == nullptr) cell.more_reads = std::make_unique<std::vector<Access>>();
    bool replaced = false;
    for (Access& read : *cell.more_reads) {
      if (read.actor != request.access.actor) continue;
      read = request.access;
      replaced = true;
    }
    if (!replaced) cell.more_reads->push_back(request.access);
  }
  if (!region.shared) SeeBetweenBlocks(region, cell, address, request);
}

void Detector::SeeBetweenBlocks(Region& region, Cell& cell, uintptr_t address, const Request& request) {
  if (cell.launch != launch_) {
    cell.launch = launch_;
    cell.writer = cell.reader = kNoBlock;
  }
  const bool of_other = cell.writer != kNoBlock && cell.writer != block_ && !(request.atomic && cell.writer_atomic) &&
                        !HasReleased(cell.writer, cell.writer_releases);
  const bool read_by_other = request.write && !request.atomic && cell.reader != kNoBlock && cell.reader != block_ &&
                             !HasReleased(cell.reader, 0);
  if (of_other || read_by_other) {
    const Access other{of_other ? cell.writer_place : cell.reader_place, 0, 0, request.access.actor};
    const std::string kind =
        "between blocks " + std::to_string(of_other ? cell.writer : cell.reader) + " and " + std::to_string(block_);
    Report(kind.c_str(), region, address, other, request.access);
  }
  if (request.write) {
    cell.writer = block_;
    cell.writer_releases = releases_;
    cell.writer_atomic = request.atomic;
    cell.writer_place = request.access.place;
  } else {
    cell.reader = cell.reader == kNoBlock || cell.reader == block_ ? block_ : kManyBlocks;
    cell.reader_place = request.access.place;
  }
}

int Running() { return current_thread->linear; }

// A plain access of the running thread, from a hook of the compiler.
void Hooked(const void* pointer, size_t bytes, bool aligned, bool write, const void* code) {
  if (current_thread == nullptr) return;  // host code of a .cu file
  ++CurrentCounters().instrumented;
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  const Fiber& fiber = static_cast<const Thread*>(current_thread)->fiber;
  Detector& detector = TheDetector();
  if (pointer >= fiber.stack && pointer < fiber.stack + StackBytes()) {
    for (const Registers& held : detector.HiddenOf(Running())) {
      if (address < held.begin || address >= held.end) continue;
      Fail("wgmma accumulator %s at %s before wgmma.wait_group", write ? "written" : "read",
           TextOf(PlaceOf(code)).c_str());
    }
    return;
  }
  if (detector.Find(address) == nullptr) return;
  if (aligned && address % bytes != 0) {
    Fail("misaligned access at %s: %zu bytes at %p", TextOf(PlaceOf(code)).c_str(), bytes, pointer);
  }
  detector.See(address, bytes, {Running(), detector.clocks.OfThread(Running(), PlaceOf(code)), write, false, false});
}

}  // namespace

void StartLaunch() { TheDetector().StartLaunch(); }
void StartBlock(int threads, uint32_t block) { TheDetector().StartBlock(threads, block); }

void EndLaunch() {
  const int64_t races = TheDetector().RacesOfLaunch();
  if (races > 0)
    Fail("%lld races in this launch; the first of each pair of lines stand above", static_cast<long long>(races));
}

void AddMemory(const void* memory, size_t bytes, bool shared, const std::string& what) {
  TheDetector().Add(reinterpret_cast<uintptr_t>(memory), bytes, shared, what);
}
void RemoveMemory(const void* memory) { TheDetector().Remove(reinterpret_cast<uintptr_t>(memory)); }

void Join::Gather(int thread) { TheDetector().clocks.Gather(thread, known_); }
void Join::Scatter(int thread) { TheDetector().clocks.Scatter(thread, known_); }
void JoinBlock() { TheDetector().clocks.JoinBlock(); }
void Advance(int thread) { TheDetector().clocks.Advance(thread); }

void NoteRead(const void* address, size_t bytes, const Site& site) {
  Detector& detector = TheDetector();
  detector.See(reinterpret_cast<uintptr_t>(address), bytes,
               {Running(), detector.clocks.OfThread(Running(), PlaceOf(site)), false, false, false});
}

void NoteWrite(const void* address, size_t bytes, const Site& site) {
  Detector& detector = TheDetector();
  detector.See(reinterpret_cast<uintptr_t>(address), bytes,
               {Running(), detector.clocks.OfThread(Running(), PlaceOf(site)), true, false, false});
}

void NoteAtomic(const void* address, size_t bytes, const Site& site) {
  Detector& detector = TheDetector();
  detector.See(reinterpret_cast<uintptr_t>(address), bytes,
               {Running(), detector.clocks.OfThread(Running(), PlaceOf(site)), true, true, false});
  detector.AtomicOf(Running(), reinterpret_cast<uintptr_t>(address));
}

void NoteFence() { TheDetector().FenceOf(Running()); }

void CopyIssued(const void* target, const void* source, size_t bytes, const Site& site) {
  Detector& detector = TheDetector();
  const Access access = detector.clocks.OfCopies(Running(), PlaceOf(site));
  if (source != nullptr) {
    detector.See(reinterpret_cast<uintptr_t>(source), bytes, {Running(), access, false, false, true});
  }
  detector.See(reinterpret_cast<uintptr_t>(target), bytes, {Running(), access, true, false, true});
}
void CopiesCommitted() { TheDetector().clocks.Commit(Running()); }
void CopiesWaitedFor(int pending) { TheDetector().clocks.Wait(Running(), pending); }

uint32_t Engine::Issue() {
  if (index_ < 0) index_ = TheDetector().clocks.AddEngine();
  if (index_ < 0)
    Fail("the race detector follows at most %d mbarriers, bulk groups and warpgroups of a block", kEngines);
  return ++issued_;
}

void Engine::Touch(int thread, uint32_t clock, const void* address, size_t bytes, bool write, const Site& site) const {
  Detector& detector = TheDetector();
  detector.See(reinterpret_cast<uintptr_t>(address), bytes,
               {thread, detector.clocks.OfEngine(index_, clock, PlaceOf(site)), write, false, false, true});
}

void Engine::Complete(uint32_t clock) {
  done_early_.push_back(clock);
  const auto next = [&] { return std::find(done_early_.begin(), done_early_.end(), done_ + 1); };
  for (auto at = next(); at != done_early_.end(); at = next()) {
    done_early_.erase(at);
    ++done_;
  }
}

void Engine::Teach(int thread) const {
  if (index_ >= 0) TheDetector().clocks.Learn(thread, index_, done_);
}
void Engine::Teach(Join& join) const {
  if (index_ >= 0) TheDetector().clocks.LearnAll(join.known_, index_, done_);
}

void NoteProxyFence() { TheDetector().clocks.Fence(Running()); }

void HideRegisters(int thread, const void* registers, size_t bytes) {
  const auto begin = reinterpret_cast<uintptr_t>(registers);
  TheDetector().HiddenOf(thread).push_back({begin, begin + bytes});
}
void ShowRegisters(int thread, const void* registers) {
  std::erase_if(TheDetector().HiddenOf(thread),
                [&](const Registers& held) { return held.begin == reinterpret_cast<uintptr_t>(registers); });
}

}  // namespace ingot::emulator::race

// What g++ -fsanitize=thread calls. The atomic functions are left out on purpose: std::atomic in a kernel does not link.
#define INGOT_HOOK(name, bytes, write)                                                         \
  extern "C" void name(void* pointer) {                                                        \
    ::ingot::emulator::race::Hooked(pointer, bytes, true, write, __builtin_return_address(0)); \
  }
#define INGOT_HOOKS(bytes)                     \
  INGOT_HOOK(__tsan_read##bytes, bytes, false) \
  INGOT_HOOK(__tsan_write##bytes, bytes, true)
INGOT_HOOKS(1)
INGOT_HOOKS(2)
INGOT_HOOKS(4)
INGOT_HOOKS(8)
INGOT_HOOKS(16)
extern "C" {
void __tsan_init() {}
void __tsan_read_range(void* pointer, size_t bytes) {
  ::ingot::emulator::race::Hooked(pointer, bytes, false, false, __builtin_return_address(0));
}
void __tsan_write_range(void* pointer, size_t bytes) {
  ::ingot::emulator::race::Hooked(pointer, bytes, false, true, __builtin_return_address(0));
}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}

#endif  // INGOT_RACE_BUILD
