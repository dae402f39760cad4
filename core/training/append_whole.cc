#include "core/training/append_whole.h"

#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace ingot {

absl::Status AppendWhole(std::FILE* file, const std::string& bytes, const std::string& path) {
  const int descriptor = fileno(file);
  const off_t before = lseek(descriptor, 0, SEEK_END);
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written = write(descriptor, bytes.data() + done, bytes.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    done += static_cast<size_t>(written);
  }
  if (done == bytes.size()) return absl::OkStatus();
  const absl::Status failed = absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot write"));
  // Both succeed wherever the write above could begin; if not, readers pass over a line that is no JSON.
  if (before >= 0 && ftruncate(descriptor, before) == 0) lseek(descriptor, before, SEEK_SET);
  return failed;
}

}  // namespace ingot
