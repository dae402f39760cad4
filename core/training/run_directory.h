#pragma once
// RUN_DIR: one run's config.textproto, metrics.jsonl, TensorBoard events and checkpoints/. One process at a time.
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/training/config.h"

namespace ingot {

class RunDirectory {
 public:
  // Makes or takes `path` for the run `config` (resolved) and holds a lock on it. Refused: a directory that is not
  // empty and no run's, another run's (naming the fields that differ), one in which a process is training.
  static absl::StatusOr<RunDirectory> Open(const std::string& path, const RunConfig& config);
  RunDirectory(RunDirectory&& other) noexcept;
  RunDirectory& operator=(RunDirectory&&) = delete;
  ~RunDirectory();

  const std::string& path() const { return path_; }

 private:
  RunDirectory(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}
  std::string path_;
  int lock_;
};

}  // namespace ingot
