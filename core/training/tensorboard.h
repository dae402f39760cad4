#pragma once
// TensorBoard event files: one file a start of the run, scalars only.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ingot {

class EventWriter {
 public:
  // A new file events.out.tfevents.SECONDS.HOST.PID in `directory`. It begins by telling readers to forget what
  // earlier files of the run hold from `first_step` on: a run that was killed goes on from an older step.
  static absl::StatusOr<EventWriter> Create(const std::string& directory, int64_t first_step);

  // Scalars of one step; flushed, so that a reader sees them at once.
  absl::Status Write(int64_t step, const std::vector<std::pair<std::string, double>>& scalars);

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  EventWriter(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  absl::Status WriteRecord(const std::string& record);
  std::unique_ptr<std::FILE, Closer> file_;
  std::string path_;
};

}  // namespace ingot
