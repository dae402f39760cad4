#pragma once
// Who runs next. Every CUDA thread of a block is a fiber on one OS thread; a fiber runs until it waits or yields.
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/emulator/fiber.h"
#include "kernels/emulator/options.h"
#include "kernels/emulator/ready_set.h"
#include "kernels/emulator/site.h"
#include "kernels/emulator/thread.h"

namespace ingot::emulator {

enum class State : uint8_t { kReady, kAtBarrier, kInWarpOperation, kInWarpgroupOperation, kWaiting, kExited };

struct Thread : ThreadView {
  Fiber fiber;
  State state = State::kExited;
  int position = 0;  // in the schedule's order
  // Where and why it waits.
  Site site;
  const char* operation = "";
  int barrier = 0;
  uint32_t mask = 0;
  void* argument = nullptr;
  const void* key = nullptr;

  int lane() const { return linear % kWarp; }
  int warp() const { return linear / kWarp; }
};

// A small generator whose sequence belongs to us: the same seed gives the same schedule with every compiler.
class Random {
 public:
  explicit Random(uint64_t seed = 1) : state_(seed) {}
  uint64_t Next();                 // splitmix64
  uint32_t Below(uint32_t limit);  // in [0, limit)

 private:
  uint64_t state_;
};

class Scheduler {
 public:
  // A function of kernel arguments, called once by every thread.
  struct Body {
    void (*call)(const void* context);
    const void* context;
  };

  // Runs one block to its end. Returns with threads that have not exited if none of them can go on.
  void RunBlock(int threads, const Body& body);

  int threads() const { return threads_; }
  int exited() const { return exited_; }
  Thread& thread(int linear) { return *all_[static_cast<size_t>(linear)]; }
  Thread& current() { return *current_; }
  // Whether a kernel's thread runs now, and not host code.
  bool in_kernel() const { return current_ != nullptr; }

  // The running thread waits in `state`; returns once somebody has called Resume on it.
  void Suspend(State state);
  void Resume(Thread& thread);
  // Others may run before the thread goes on.
  void Yield();

  // The seed's sequence; blocks of one launch go on with it.
  Random& random() { return random_; }
  void StartLaunch(const Options& options);

  // Threads that exit tell others: set by the owners of barriers and copies.
  void (*when_thread_exits)(Thread&) = nullptr;
  // Lands one asynchronous operation; false if none is in flight. Called when no thread can run.
  bool (*progress)() = nullptr;
  // At every step, so that copies can land between.
  void (*step)() = nullptr;

 private:
  static void FiberMain();
  void Prepare(int threads);
  void AssignPositions();
  Thread* Pick();
  void ChangePriority();
  void SwitchTo(Thread* next);

  std::vector<std::unique_ptr<Thread>> all_;
  std::vector<Thread*> at_position_ = std::vector<Thread*>(ReadySet::kPositions);
  Fiber host_;
  Thread* current_ = nullptr;
  ReadySet ready_;
  const Body* body_ = nullptr;
  int threads_ = 0, exited_ = 0;
  Schedule schedule_ = Schedule::kForward;
  Random random_;
  // Of kPct: the steps at which the running thread falls behind all others.
  static constexpr int kChangePoints = 2;
  int64_t steps_ = 0, steps_of_last_block_ = 0, change_at_[kChangePoints] = {};
  int changes_ = 0;
};

Scheduler& TheScheduler();

}  // namespace ingot::emulator
