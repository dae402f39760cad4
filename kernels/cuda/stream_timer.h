#pragma once
// How long the work on a stream takes: by events on a GPU, by the host's clock on the emulator (whose time says nothing
// about a GPU).
#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ingot::cuda {

class StreamTimer {
 public:
  explicit StreamTimer(void* stream);
  ~StreamTimer();
  StreamTimer(const StreamTimer&) = delete;
  StreamTimer& operator=(const StreamTimer&) = delete;

  void Start();
  // Seconds of the device from Start() to here; waits for the stream. Errors: what the stream reports.
  absl::StatusOr<double> Stop();

 private:
  struct Marks;
  void* stream_;
  Marks* marks_;
};

}  // namespace ingot::cuda
