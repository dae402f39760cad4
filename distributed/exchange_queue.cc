#include "distributed/exchange_queue.h"

#include <omp.h>
#include <pthread.h>

#include <utility>

namespace ingot {

ExchangeQueue::ExchangeQueue() : thread_([this] { Work(); }) {
  pthread_setname_np(thread_.native_handle(), "ingot-exchange");  // as debuggers find it
}

ExchangeQueue::~ExchangeQueue() {
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

uint64_t ExchangeQueue::Submit(std::function<absl::Status()> job) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  changed_.notify_all();
  return ++submitted_;
}

void ExchangeQueue::Work() {
  omp_set_num_threads(1);  // this thread's sums; the processors belong to who computes
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return leaving_ || !jobs_.empty(); });
    if (leaving_) return;
    const std::function<absl::Status()> job = std::move(jobs_.front());
    jobs_.pop_front();
    if (status_.ok()) {
      lock.unlock();
      absl::Status result = job();
      lock.lock();
      status_ = std::move(result);
    }
    ++done_;
    changed_.notify_all();
  }
}

absl::Status ExchangeQueue::Wait(uint64_t ticket) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this, ticket] { return done_ >= ticket; });
  return status_;
}

absl::Status ExchangeQueue::WaitForAll() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return done_ == submitted_; });
  return status_;
}

}  // namespace ingot
