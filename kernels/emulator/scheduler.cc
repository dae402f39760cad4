#include "kernels/emulator/scheduler.h"

#include <algorithm>
#include <utility>

namespace ingot::emulator {

ThreadView* current_thread = nullptr;
BlockView current_block;

uint64_t Random::Next() {
  uint64_t z = state_ += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

uint32_t Random::Below(uint32_t limit) { return static_cast<uint32_t>((Next() >> 32) * limit >> 32); }

Scheduler& TheScheduler() {
  static Scheduler& scheduler = *new Scheduler;  // its fibers are never ended
  return scheduler;
}

void Scheduler::StartLaunch(const Options& options) {
  schedule_ = options.schedule;
  random_ = Random(options.seed);
  steps_of_last_block_ = 0;
}

void Scheduler::RunBlock(int threads, const Body& body) {
  body_ = &body;
  Prepare(threads);
  Thread* const first = Pick();
  current_ = first;
  current_thread = first;
  ++CurrentCounters().switches;
  Switch(host_, first->fiber);
  current_ = nullptr;
  current_thread = nullptr;
  steps_of_last_block_ = steps_;
}

void Scheduler::Prepare(int threads) {
  while (static_cast<int>(all_.size()) < threads) {
    all_.push_back(std::make_unique<Thread>());
    Create(all_.back()->fiber, FiberMain);
  }
  threads_ = threads;
  exited_ = 0;
  steps_ = 0;
  changes_ = 0;
  const dim3& size = current_block.size;
  for (int i = 0; i < threads; ++i) {
    const uint32_t n = static_cast<uint32_t>(i);
    Thread& thread = *all_[static_cast<size_t>(i)];
    thread.index = {n % size.x, n / size.x % size.y, n / (size.x * size.y)};
    thread.linear = i;
    thread.site = {};
    thread.operation = "";
  }
  AssignPositions();
  ready_.Clear();
  for (int i = 0; i < threads; ++i) Resume(thread(i));
}

void Scheduler::AssignPositions() {
  for (int i = 0; i < threads_; ++i) thread(i).position = schedule_ == Schedule::kReverse ? threads_ - 1 - i : i;
  if (schedule_ == Schedule::kPct) {
    for (int i = threads_ - 1; i > 0; --i) {
      std::swap(thread(i).position, thread(static_cast<int>(random_.Below(static_cast<uint32_t>(i) + 1))).position);
    }
    // The bound of the method needs the number of steps; a launch's first block guesses it, the others know it.
    const int64_t steps = steps_of_last_block_ > 0 ? steps_of_last_block_ : 4 * threads_;
    for (int64_t& at : change_at_) at = random_.Below(static_cast<uint32_t>(std::min<int64_t>(steps, 1u << 31)));
    std::sort(change_at_, change_at_ + kChangePoints);
  }
  for (int i = 0; i < threads_; ++i) at_position_[static_cast<size_t>(thread(i).position)] = &thread(i);
}

void Scheduler::Suspend(State state) {
  Thread* const thread = current_;
  ready_.Erase(thread->position);
  thread->state = state;
  SwitchTo(Pick());
}

void Scheduler::Resume(Thread& thread) {
  thread.state = State::kReady;
  ready_.Insert(thread.position);
}

void Scheduler::Yield() { SwitchTo(Pick()); }

// The next thread to run; null when none can ever run again.
Thread* Scheduler::Pick() {
  ++steps_;
  if (step != nullptr) step();
  if (schedule_ == Schedule::kPct && changes_ < kChangePoints && steps_ > change_at_[changes_]) ChangePriority();
  while (ready_.empty()) {
    if (progress == nullptr || !progress()) return nullptr;
  }
  const int start =
      schedule_ == Schedule::kRandom ? static_cast<int>(random_.Below(static_cast<uint32_t>(threads_))) : 0;
  return at_position_[static_cast<size_t>(ready_.FirstFrom(start))];
}

// The running thread goes behind all others: it gets one of the positions after theirs.
void Scheduler::ChangePriority() {
  const int position = threads_ + changes_++;
  if (current_ == nullptr) return;
  const bool was_ready = current_->state == State::kReady;
  if (was_ready) ready_.Erase(current_->position);
  current_->position = position;
  at_position_[static_cast<size_t>(position)] = current_;
  if (was_ready) ready_.Insert(position);
}

void Scheduler::SwitchTo(Thread* next) {
  Thread* const last = current_;
  if (next == last) return;
  ++CurrentCounters().switches;
  current_ = next;
  current_thread = next;
  Switch(last->fiber, next == nullptr ? host_ : next->fiber);
}

// Fibers outlive their threads: the next block enters here again, behind the Suspend of the last one.
void Scheduler::FiberMain() {
  Scheduler& scheduler = TheScheduler();
  for (;;) {
    scheduler.body_->call(scheduler.body_->context);
    ++scheduler.exited_;
    if (scheduler.when_thread_exits != nullptr) scheduler.when_thread_exits(*scheduler.current_);
    scheduler.Suspend(State::kExited);
  }
}

}  // namespace ingot::emulator
