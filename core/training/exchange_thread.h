#pragma once
// ExchangeThread: exchanges and adds on the model's device, on a thread and in an order of their own, while the model
// computes there.
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/backend.h"
#include "distributed/exchange_queue.h"

namespace ingot {

class ExchangeThread {
 public:
  // `compute` is the model's. Errors: those of Backend::Fork().
  static absl::StatusOr<std::unique_ptr<ExchangeThread>> Create(std::shared_ptr<const Backend> compute);

  // A job sees what the ops have left that were run on `compute` before Submit(). It is done when what it ran on its
  // context is: ops run on `compute` after Wait() see that. Tickets and errors as in ExchangeQueue.
  using Job = std::function<absl::Status(Context&)>;
  uint64_t Submit(Job job);
  absl::Status Wait(uint64_t ticket) { return queue_.Wait(ticket); }
  absl::Status WaitForAll() { return queue_.WaitForAll(); }

 private:
  ExchangeThread(std::shared_ptr<const Backend> compute, std::shared_ptr<const Backend> own)
      : compute_(std::move(compute)), own_(std::move(own)) {}

  std::shared_ptr<const Backend> compute_, own_;
  ExchangeQueue queue_;  // last: its jobs use all of the above
};

}  // namespace ingot
