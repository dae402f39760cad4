#include "core/training/checkpoint_writer.h"

#include <pthread.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "distributed/exit_codes.h"

namespace ingot {

CheckpointWriter::CheckpointWriter(CheckpointStore store, Options options)
    : store_(std::move(store)), options_(std::move(options)) {
  if (!options_.background) return;
  thread_ = std::thread([this] { Work(); });
  pthread_setname_np(thread_.native_handle(), "ingot-save");  // as debuggers and tests find it
}

CheckpointWriter::~CheckpointWriter() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    leaving_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

absl::Status CheckpointWriter::Save(const CheckpointContents& contents, bool marked) {
  INGOT_RETURN_IF_ERROR(Wait());
  job_ = {.contents = contents, .marked = marked};
  judged_ = false;
  Write();
  return options_.background ? absl::OkStatus() : Judged();
}

// Begins to write job_, or writes it.
void CheckpointWriter::Write() {
  if (!options_.background) {
    result_ = store_.Save(job_.contents, job_.marked);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    busy_ = true;
  }
  changed_.notify_all();
}

void CheckpointWriter::Work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return busy_ || leaving_; });
    if (!busy_) return;
    lock.unlock();
    absl::Status result = store_.Save(job_.contents, job_.marked);
    lock.lock();
    result_ = std::move(result);
    busy_ = false;
    changed_.notify_all();
  }
}

absl::Status CheckpointWriter::Wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !busy_; });
  return Judged();
}

// Counts a failure once. Nobody is writing.
absl::Status CheckpointWriter::Judged() {
  if (std::exchange(judged_, true) || result_.ok()) {
    if (result_.ok()) failures_ = 0;
    return absl::OkStatus();
  }
  if (ExitCodeOf(result_) != 1) return result_;  // the run is over: a rank is gone
  ++failures_;
  const std::string what = absl::StrCat("the checkpoint of step ", job_.contents.state.step,
                                        " was not saved: ", absl::string_view(result_.message()));
  if (absl::IsDataLoss(result_)) return absl::Status(result_.code(), what);  // values that are not finite: for good
  if (failures_ > options_.max_failures) {
    return absl::Status(result_.code(), absl::StrCat(what, " (failure ", failures_, " in a row; allowed are ",
                                                     options_.max_failures, ", checkpoint.max_failures)"));
  }
  if (options_.say) {
    options_.say(absl::StrCat("warning: ", what, "; training goes on and saves again at the next checkpoint (failure ",
                              failures_, " in a row of ", options_.max_failures, " allowed)"));
  }
  return absl::OkStatus();
}

absl::Status CheckpointWriter::Finish() {
  INGOT_RETURN_IF_ERROR(Wait());
  if (result_.ok()) return absl::OkStatus();
  Write();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !busy_; });
  return result_;
}

}  // namespace ingot
