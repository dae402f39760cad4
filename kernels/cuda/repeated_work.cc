#include "kernels/cuda/repeated_work.h"

#include "core/base/status_macros.h"
#include "kernels/cuda/runtime.h"

namespace ingot::cuda {

RepeatedWork::~RepeatedWork() { Forget(); }

void RepeatedWork::Forget() {
  if (graph_ != nullptr) DestroyGraph(graph_);
  graph_ = nullptr;
  has_run_ = false;
}

absl::Status RepeatedWork::Capture(const std::function<void()>& enqueue) {
  INGOT_RETURN_IF_ERROR(BeginCapture(stream_));
  enqueue();
  INGOT_ASSIGN_OR_RETURN(graph_, EndCapture(stream_));
  return absl::OkStatus();
}

absl::Status RepeatedWork::Enqueue(const std::function<void()>& enqueue) {
  if (!has_run_) {
    enqueue();
    has_run_ = true;
    return absl::OkStatus();
  }
  if (graph_ == nullptr) INGOT_RETURN_IF_ERROR(Capture(enqueue));
  return LaunchGraph(graph_, stream_);
}

}  // namespace ingot::cuda
