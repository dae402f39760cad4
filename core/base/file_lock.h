#pragma once
// FileLock: one process at a time. The lock goes with the process, also when it is killed.
#include <string>

#include "absl/status/statusor.h"

namespace ingot {

class FileLock {
 public:
  // Creates the file PATH where it is missing and locks it without waiting. If another process has it the error is
  // `taken`.
  static absl::StatusOr<FileLock> Take(const std::string& path, const std::string& taken);
  FileLock(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

}  // namespace ingot
