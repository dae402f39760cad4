#include "core/training/exchange_thread.h"

#include <utility>

#include "core/base/status_macros.h"

namespace ingot {

absl::StatusOr<std::unique_ptr<ExchangeThread>> ExchangeThread::Create(std::shared_ptr<const Backend> compute) {
  INGOT_ASSIGN_OR_RETURN(std::shared_ptr<const Backend> own, compute->Fork());
  return std::unique_ptr<ExchangeThread>(new ExchangeThread(std::move(compute), std::move(own)));
}

uint64_t ExchangeThread::Submit(Job job) {
  return queue_.Submit([this, job = std::move(job), given = compute_->Now()] {
    own_->UseInThisThread();
    own_->After(given);
    Context ctx = own_->MakeContext();
    INGOT_RETURN_IF_ERROR(job(ctx));
    return own_->Wait();
  });
}

}  // namespace ingot
