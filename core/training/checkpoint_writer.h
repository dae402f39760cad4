#pragma once
// CheckpointWriter: saves checkpoints while training goes on. A save copies weights and moments (the stall), and a
// thread writes the copy. There is never more than one save at a time: the next one waits for it.
// A save that fails leaves the checkpoints as they were; training goes on until too many have failed in a row.
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/arena.h"
#include "core/training/checkpoint.h"

namespace ingot {

class CheckpointWriter {
 public:
  struct Options {
    bool background = true;    // false: Save() returns when the checkpoint is written
    int64_t max_failures = 3;  // saves that may fail in a row; one more is an error
    int64_t copied = 0;        // elements of each flat buffer to copy; 0: their owner leaves them alone until Wait()
    DType moments = DType::kF32;
    std::function<void(const std::string&)> say;  // warnings, on the thread that calls
  };
  // Bytes that Create() takes for `copied` elements.
  static int64_t Bytes(int64_t copied, DType moments = DType::kF32);
  // Errors: memory that the system does not have.
  static absl::StatusOr<std::unique_ptr<CheckpointWriter>> Create(CheckpointStore store, Options options);
  ~CheckpointWriter();  // waits for what is being written
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Waits for the save before, takes the contents and writes them. `contents.table` must outlive the writer.
  absl::Status Save(const CheckpointContents& contents, bool marked);
  // Waits until nothing is written. Errors: one failure too many, or values that are not finite.
  absl::Status Wait();
  // Wait(); if the last save failed it is tried once more, and its error returned.
  absl::Status Finish();

 private:
  struct Job {
    CheckpointContents contents;
    bool marked = false;
  };
  CheckpointWriter(CheckpointStore store, Options options);
  CheckpointContents Copied(const CheckpointContents& contents);
  void Write();
  void Work();
  absl::Status Judged();

  CheckpointStore store_;
  Options options_;
  std::optional<Arena> memory_;  // copies
  Tensor copies_[3];             // parameters, first and second moments
  Job job_;                      // the last one; its thread's while busy_
  absl::Status result_;          // of the last one
  bool judged_ = true;           // result_ has been counted and said
  int64_t failures_ = 0;         // in a row

  std::mutex mutex_;
  std::condition_variable changed_;
  bool busy_ = false, leaving_ = false;
  std::thread thread_;
};

}  // namespace ingot
