#pragma once
// Vector clocks of a block. Actors 0..N-1 are its threads, N..2N-1 the asynchronous copies of thread 0..N-1.
//
// A barrier of the whole block begins a new epoch, in which every access of a thread from an older one counts as known:
// that costs O(N), where joining N clocks of N entries would cost O(N^2). Entries within an epoch are kept dense, and
// only by threads that have met others in it.
#include <cstddef>
#include <cstdint>
#include <vector>

namespace ingot::emulator::race {

inline constexpr uint16_t kNobody = 0xffff;

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
  // Whether `thread` knows of the access; with `by_copies`, whether its open group of copies comes behind it.
  bool Knows(int thread, const Access& access, bool by_copies) const;

  void Gather(int thread, std::vector<uint32_t>& known) const;
  void Scatter(int thread, const std::vector<uint32_t>& known);
  void Advance(int thread) { ++clock_[static_cast<size_t>(thread)]; }
  void JoinBlock();

  void Commit(int thread) { ++open_group_[static_cast<size_t>(thread)]; }
  void Wait(int thread, int pending);

 private:
  // The thread's dense entries of this epoch, or null.
  const uint32_t* Dense(int thread) const;
  uint32_t CopiesKnown(int thread, int owner) const;

  int threads_ = 0;
  uint32_t epoch_ = 0;
  std::vector<uint32_t> clock_;
  std::vector<uint32_t> dense_, dense_epoch_;
  std::vector<uint32_t> open_group_;     // of each thread's copies, counted from 1
  std::vector<uint32_t> waited_;         // the newest group that the thread itself has waited for
  std::vector<uint32_t> waited_by_all_;  // the same as all know since the last barrier of the block
};

}  // namespace ingot::emulator::race
