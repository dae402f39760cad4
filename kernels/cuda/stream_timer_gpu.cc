#include <cuda_runtime_api.h>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "kernels/cuda/gpu_failure.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/stream_timer.h"

namespace ingot::cuda {
namespace {

absl::Status Check(cudaError_t error) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("timing by events: ", cudaGetErrorString(error)));
}

}  // namespace

struct StreamTimer::Marks {
  cudaEvent_t start = nullptr, stop = nullptr;
};

StreamTimer::StreamTimer(void* stream) : stream_(stream), marks_(new Marks()) {
  KeepFailure(Check(cudaEventCreate(&marks_->start)));
  KeepFailure(Check(cudaEventCreate(&marks_->stop)));
}

StreamTimer::~StreamTimer() {
  KeepFailure(Check(cudaEventDestroy(marks_->start)));
  KeepFailure(Check(cudaEventDestroy(marks_->stop)));
  delete marks_;
}

void StreamTimer::Start() { KeepFailure(Check(cudaEventRecord(marks_->start, static_cast<cudaStream_t>(stream_)))); }

absl::StatusOr<double> StreamTimer::Stop() {
  KeepFailure(Check(cudaEventRecord(marks_->stop, static_cast<cudaStream_t>(stream_))));
  INGOT_RETURN_IF_ERROR(Synchronize(stream_));
  float milliseconds = 0;
  INGOT_RETURN_IF_ERROR(Check(cudaEventElapsedTime(&milliseconds, marks_->start, marks_->stop)));
  return milliseconds / 1e3;
}

}  // namespace ingot::cuda
