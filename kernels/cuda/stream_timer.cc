#include "kernels/cuda/stream_timer.h"

#include <algorithm>
#include <cstdint>

#include "core/base/status_macros.h"

namespace ingot::cuda {

absl::StatusOr<double> MicrosecondsOfRun(void* stream, const std::function<absl::Status()>& run) {
  StreamTimer timer(stream);
  double seconds = 0;
  for (int64_t repeats = 1, round = 0; round < 2; ++round) {
    timer.Start();
    for (int64_t k = 0; k < repeats; ++k) INGOT_RETURN_IF_ERROR(run());
    INGOT_ASSIGN_OR_RETURN(seconds, timer.Stop());
    seconds /= static_cast<double>(repeats);
    repeats = std::clamp(static_cast<int64_t>(1e-3 / std::max(seconds, 1e-6)), int64_t{3}, int64_t{50});
  }
  return seconds * 1e6;
}

}  // namespace ingot::cuda
