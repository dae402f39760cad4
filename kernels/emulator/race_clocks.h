#pragma once
// Vector clocks of a block. Actors 0..N-1 are its threads, N..2N-1 the asynchronous copies (cp.async) of thread 0..N-1,
// 2N and up the engines of the async proxy: the bulk copies of one mbarrier, of one thread's bulk groups, the wgmma of
// one warpgroup.
//
// A barrier of the whole block begins a new epoch, in which every access of a thread from an older one counts as known:
// that costs O(N), where joining N clocks of N entries would cost O(N^2). Entries within an epoch are kept dense, and
// only by threads that have met others in it.
//
// What a thread has written the async proxy sees only behind the writer's fence.proxy.async. How far each thread has
// fenced is knowledge like any other: it travels with barriers.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ingot::emulator::race {

inline constexpr uint16_t kNobody = 0xffff;
inline constexpr int kEngines = 64;

struct Access {
  uint64_t place = 0;  // in the source, see race_report.h
  uint32_t clock = 0;
  uint32_t epoch = 0;
  uint16_t actor = kNobody;
};

class Clocks {
 public:
  void Start(int threads);
  int threads() const { return threads_; }
  uint32_t epoch() const { return epoch_; }

  // An access of a thread, or of its open group of copies, now.
  Access OfThread(int thread, uint64_t place) const;
  Access OfCopies(int thread, uint64_t place) const;
  // Of operation `clock` of an engine.
  Access OfEngine(int engine, uint32_t clock, uint64_t place) const;
  // Whether `thread` knows of the access; with `by_copies`, whether its open group of copies comes behind it.
  bool Knows(int thread, const Access& access, bool by_copies) const;
  // Whether `thread` knows of a fence.proxy.async of the accessing thread behind the access; true for engines.
  bool KnowsFence(int thread, const Access& access) const;

  void Gather(int thread, std::vector<uint32_t>& known) const;
  void Scatter(int thread, const std::vector<uint32_t>& known);
  void Advance(int thread) { ++clock_[static_cast<size_t>(thread)]; }
  void JoinBlock();

  void Commit(int thread) { ++open_group_[static_cast<size_t>(thread)]; }
  void Wait(int thread, int pending);

  // A new engine of this block; -1 if there are too many.
  int AddEngine();
  // `thread` knows of the engine's operations up to `clock`.
  void Learn(int thread, int engine, uint32_t clock);
  void LearnAll(std::vector<uint32_t>& known, int engine, uint32_t clock) const;
  void Fence(int thread);

 private:
  size_t Width() const;  // of what a thread knows
  size_t EngineAt(int engine) const { return 2 * static_cast<size_t>(threads_) + static_cast<size_t>(engine); }
  size_t FenceAt(int actor) const { return EngineAt(kEngines) + static_cast<size_t>(actor); }
  // The thread's dense entries of this epoch, or null.
  const uint32_t* Dense(int thread) const;
  uint32_t* MutableDense(int thread);
  uint32_t CopiesKnown(int thread, int owner) const;
  void BeginAsync();

  int threads_ = 0;
  uint32_t epoch_ = 0;
  bool async_ = false;  // engines or proxy fences are in use, and entries behind the first 2N have a meaning
  int engines_ = 0;
  std::vector<uint32_t> clock_;
  std::vector<uint32_t> dense_, dense_epoch_;
  std::vector<uint32_t> open_group_;     // of each thread's copies, counted from 1
  std::vector<uint32_t> waited_;         // the newest group that the thread itself has waited for
  std::vector<uint32_t> waited_by_all_;  // the same as all know since the last barrier of the block
  std::vector<uint32_t> engines_by_all_;
  std::vector<uint32_t> fenced_, fenced_by_all_;  // of threads, then of their copies
};

}  // namespace ingot::emulator::race
