#include <chrono>

#include "core/base/status_macros.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/stream_timer.h"

namespace ingot::cuda {

struct StreamTimer::Marks {
  std::chrono::steady_clock::time_point start;
};

StreamTimer::StreamTimer(void* stream) : stream_(stream), marks_(new Marks()) {}
StreamTimer::~StreamTimer() { delete marks_; }

// What was enqueued before is not to count: the emulator runs it when somebody waits.
void StreamTimer::Start() {
  (void)Synchronize(stream_);
  marks_->start = std::chrono::steady_clock::now();
}

absl::StatusOr<double> StreamTimer::Stop() {
  INGOT_RETURN_IF_ERROR(Synchronize(stream_));
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - marks_->start).count();
}

}  // namespace ingot::cuda
