#pragma once
// How long the work on a stream takes: by events on a GPU, by the host's clock on the emulator (whose time says nothing
// about a GPU).
#include <functional>

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

// Of one run() on the stream: the mean of several behind a first one, about a millisecond's worth. Errors: what run() or the
// stream reports.
absl::StatusOr<double> MicrosecondsOfRun(void* stream, const std::function<absl::Status()>& run);

}  // namespace ingot::cuda
