#pragma once
// CheckpointWriter: saves checkpoints while training goes on: a thread writes what core/training/host_state.h has copied.
// There is never more than one save at a time: the next one waits for it. Each rank has a writer, and they save together:
// all calls are collective, and all ranks get the same results, since a save that fails at one rank fails at all.
// A save that fails leaves the checkpoints as they were; training goes on until too many have failed in a row.
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "core/training/checkpoint.h"

namespace ingot {

class CheckpointWriter {
 public:
  struct Options {
    bool background = true;                       // false: Save() returns when the checkpoint is written
    int64_t max_failures = 3;                     // saves that may fail in a row; one more is an error
    std::function<void(const std::string&)> say;  // warnings, on the thread that calls
  };
  CheckpointWriter(CheckpointStore store, Options options);
  ~CheckpointWriter();  // waits for what is being written
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  // Waits for the save before, and writes the contents. Their table must outlive the writer, and nobody changes what they
  // have of weights and moments until Wait() has returned.
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
  void Write();
  void Work();
  absl::Status Judged();

  CheckpointStore store_;
  Options options_;
  Job job_;               // the last one; its thread's while busy_
  absl::Status result_;   // of the last one
  bool judged_ = true;    // result_ has been counted and said
  int64_t failures_ = 0;  // in a row

  std::mutex mutex_;
  std::condition_variable changed_;
  bool busy_ = false, leaving_ = false;
  std::thread thread_;
};

}  // namespace ingot
