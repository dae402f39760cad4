#pragma once

namespace ingot::cuda {

// The host's time between construction and destruction, under an op's name, in a profiler's time line (NVTX). Nothing
// where the build has no NVTX or no profiler listens. `name` must live as long as the process.
class OpRange {
 public:
  explicit OpRange(const char* name);
  ~OpRange();
  OpRange(const OpRange&) = delete;
  OpRange& operator=(const OpRange&) = delete;
};

}  // namespace ingot::cuda
