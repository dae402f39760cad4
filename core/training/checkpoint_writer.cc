#include "core/training/checkpoint_writer.h"

#include <pthread.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace ingot {

int64_t CheckpointWriter::Bytes(int64_t copied, DType moments) {
  return Arena::Aligned(copied * SizeOf(DType::kF32)) + 2 * Arena::Aligned(copied * SizeOf(moments));
}

absl::StatusOr<std::unique_ptr<CheckpointWriter>> CheckpointWriter::Create(CheckpointStore store, Options options) {
  std::unique_ptr<CheckpointWriter> writer(new CheckpointWriter(std::move(store), std::move(options)));
  if (const int64_t copied = writer->options_.copied; copied > 0) {
    const DType moments = writer->options_.moments;
    INGOT_ASSIGN_OR_RETURN(writer->memory_, Arena::Create("checkpoint being written", Bytes(copied, moments)));
    for (size_t i = 0; i < std::size(writer->copies_); ++i) {
      writer->copies_[i] = writer->memory_->Take("copy", i == 0 ? DType::kF32 : moments, {copied});
    }
  }
  return writer;
}

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
  job_ = {.contents = memory_.has_value() ? Copied(contents) : contents, .marked = marked};
  judged_ = false;
  Write();
  return options_.background ? absl::OkStatus() : Judged();
}

CheckpointContents CheckpointWriter::Copied(const CheckpointContents& contents) {
  CheckpointContents copy = contents;
  Tensor* const flat[] = {&copy.parameters, &copy.optimizer.m, &copy.optimizer.v};
  for (size_t i = 0; i < std::size(flat); ++i) {
    INGOT_CHECK(ingot::Bytes(*flat[i]) == ingot::Bytes(copies_[i]), "another size than was planned");
    std::memcpy(copies_[i].ptr, flat[i]->ptr, static_cast<size_t>(ingot::Bytes(copies_[i])));
    *flat[i] = copies_[i];
  }
  return copy;
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
