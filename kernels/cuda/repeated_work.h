#pragma once
// Work that is enqueued again and again with the same arguments, as a CUDA graph.
#include <functional>

#include "absl/status/status.h"

namespace ingot::cuda {

class RepeatedWork {
 public:
  // `stream` must outlive it.
  explicit RepeatedWork(void* stream) : stream_(stream) {}
  ~RepeatedWork();
  RepeatedWork(const RepeatedWork&) = delete;
  RepeatedWork& operator=(const RepeatedWork&) = delete;

  // What enqueue() puts on the stream. The first time it is called as it is: plans of products are searched for then, which
  // waits. The second time what it enqueues is captured; from then on the graph is launched. Errors: work that cannot be
  // captured.
  absl::Status Enqueue(const std::function<void()>& enqueue);
  // Other arguments: the next Enqueue() is a first one again.
  void Forget();

 private:
  absl::Status Capture(const std::function<void()>& enqueue);

  void* stream_;
  bool has_run_ = false;
  void* graph_ = nullptr;
};

}  // namespace ingot::cuda
