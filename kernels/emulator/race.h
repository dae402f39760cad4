#pragma once
// The race detector: who may know of which access. It sees the plain accesses of kernels by the compiler's hooks
// (-fsanitize=thread, with this runtime instead of the compiler's) and everything else from the emulator. Only the race
// build has it (INGOT_RACE_BUILD); elsewhere all of this is empty.
//
// Order follows from barriers, mbarriers, __syncwarp, and the waits of asynchronous copies and wgmma. Shuffles, votes and
// atomics order nothing; an atomic behind a __threadfence hands the block's writes to blocks that see its value and fence
// after it. What a thread wrote, bulk copies and wgmma may touch only behind its fence.proxy.async.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/emulator/site.h"

namespace ingot::emulator {

#ifdef INGOT_RACE_BUILD
inline constexpr bool kRaceBuild = true;
#else
inline constexpr bool kRaceBuild = false;
#endif

namespace race {

#ifdef INGOT_RACE_BUILD

void StartLaunch();
void StartBlock(int threads, uint32_t block);
// Fails if the launch had a race.
void EndLaunch();

void AddMemory(const void* memory, size_t bytes, bool shared, const std::string& what);
void RemoveMemory(const void* memory);

// Of threads that meet: after Scatter each knows what all knew at their Gather.
class Join {
 public:
  void Gather(int thread);
  void Scatter(int thread);
  void Clear() { known_.clear(); }

 private:
  friend class Engine;
  std::vector<uint32_t> known_;
};
// The same for all threads of the block at once.
void JoinBlock();
// What the thread does from now on is not what others have learnt from it so far.
void Advance(int thread);

// An access of the running thread that no hook sees.
void NoteRead(const void* address, size_t bytes, const Site& site);
void NoteWrite(const void* address, size_t bytes, const Site& site);
void NoteAtomic(const void* address, size_t bytes, const Site& site);
void NoteFence();

// Asynchronous copies of the running thread: from issue to wait they are accesses of an actor of their own.
void CopyIssued(const void* target, const void* source, size_t bytes, const Site& site);
void CopiesCommitted();
void CopiesWaitedFor(int pending);

// Operations of the async proxy that are waited for together. They may complete in any order; what others learn is the
// longest prefix that has completed. An engine lives as long as its block.
class Engine {
 public:
  // The clock of a new operation.
  uint32_t Issue();
  // What that operation touches between issue and completion; `thread` issued it.
  void Touch(int thread, uint32_t clock, const void* address, size_t bytes, bool write, const Site& site) const;
  void Complete(uint32_t clock);
  void Teach(int thread) const;
  void Teach(Join& join) const;

 private:
  int index_ = -1;
  uint32_t issued_ = 0, done_ = 0;
  std::vector<uint32_t> done_early_;
};
// fence.proxy.async of the running thread.
void NoteProxyFence();
// Registers of a thread that wgmma holds: touching them is an error until they are shown again.
void HideRegisters(int thread, const void* registers, size_t bytes);
void ShowRegisters(int thread, const void* registers);

#else

inline void StartLaunch() {}
inline void StartBlock(int, uint32_t) {}
inline void EndLaunch() {}
inline void AddMemory(const void*, size_t, bool, const std::string&) {}
inline void RemoveMemory(const void*) {}
struct Join {
  void Gather(int) {}
  void Scatter(int) {}
  void Clear() {}
};
inline void JoinBlock() {}
inline void Advance(int) {}
inline void NoteRead(const void*, size_t, const Site&) {}
inline void NoteWrite(const void*, size_t, const Site&) {}
inline void NoteAtomic(const void*, size_t, const Site&) {}
inline void NoteFence() {}
inline void CopyIssued(const void*, const void*, size_t, const Site&) {}
inline void CopiesCommitted() {}
inline void CopiesWaitedFor(int) {}
struct Engine {
  uint32_t Issue() { return 0; }
  void Touch(int, uint32_t, const void*, size_t, bool, const Site&) const {}
  void Complete(uint32_t) {}
  void Teach(int) const {}
  void Teach(Join&) const {}
};
inline void NoteProxyFence() {}
inline void HideRegisters(int, const void*, size_t) {}
inline void ShowRegisters(int, const void*) {}

#endif

}  // namespace race
}  // namespace ingot::emulator
