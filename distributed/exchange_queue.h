#pragma once
// ExchangeQueue: a thread that exchanges while another one computes. Jobs run one after the other in the order in which
// they were given, which must be the same on all ranks. Between the first Submit() and the Wait() for the last job the
// communicator belongs to the queue.
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

#include "absl/status/status.h"

namespace ingot {

class ExchangeQueue {
 public:
  ExchangeQueue();
  ~ExchangeQueue();  // jobs not yet begun are dropped
  ExchangeQueue(const ExchangeQueue&) = delete;
  ExchangeQueue& operator=(const ExchangeQueue&) = delete;

  // The job's ticket: 1, 2, …
  uint64_t Submit(std::function<absl::Status()> job);
  // Until the job with this ticket and all before it are done; 0: no job. The first error of any job: those behind it
  // are not run.
  absl::Status Wait(uint64_t ticket);
  absl::Status WaitForAll();

 private:
  void Work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<absl::Status()>> jobs_;
  uint64_t submitted_ = 0, done_ = 0;
  absl::Status status_;
  bool leaving_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace ingot
