#pragma once
// Trainer::Log(), for the files of the trainer.
#include "absl/strings/str_cat.h"
#include "core/training/trainer.h"

namespace ingot {

// Rank 0 writes. Metrics that cannot be written are no reason to end a run: that is said once.
template <typename AnyRecord>
void Trainer::Log(const AnyRecord& record) {
  if (metrics_ == nullptr) return;
  const absl::Status status = metrics_->Record(record);
  if (!status.ok() && !log_failed_) progress_.Say(absl::StrCat("warning: ", absl::string_view(status.message())));
  log_failed_ = !status.ok();
}

}  // namespace ingot
