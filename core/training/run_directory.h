#pragma once
// RUN_DIR: one run's config.textproto, metrics.jsonl, TensorBoard events and checkpoints/. One process at a time.
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "core/base/file_lock.h"
#include "core/training/config.h"

namespace ingot {

// In a RUN_DIR: what becomes of raw documents, unless the configuration names another place. It may be there before the
// run is.
inline constexpr char kTokenizedName[] = "tokenized";

class RunDirectory {
 public:
  // Makes or takes `path` for the run `config` (resolved) and holds a lock on it. Refused: a directory that is not
  // empty and no run's, another run's (naming the fields that differ), one in which a process is training.
  static absl::StatusOr<RunDirectory> Open(const std::string& path, const RunConfig& config);
  const std::string& path() const { return path_; }

 private:
  RunDirectory(std::string path, FileLock lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  FileLock lock_;
};

}  // namespace ingot
