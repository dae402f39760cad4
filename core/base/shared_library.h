#pragma once
// SharedLibrary: a library that is opened when the program runs, because not every machine has it. Never closed.
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace ingot {

class SharedLibrary {
 public:
  // Of the file that environment variable `wish` names, or, where it is not set: `name` ("libnccl.so.2") where the
  // system's loader looks, in lib/ beside the program, in `folders`. The error says why each was not taken.
  static absl::StatusOr<SharedLibrary> Open(const std::string& name, const char* wish,
                                            const std::vector<std::string>& folders);

  // Where it lies.
  const std::string& path() const { return path_; }

  // `function` becomes the one of this name; null if there is none.
  template <typename F>
  void Find(const char* name, F*& function) const {
    function = reinterpret_cast<F*>(Address(name));
  }
  // The same, but none is an error.
  template <typename F>
  absl::Status Resolve(const char* name, F*& function) const {
    Find(name, function);
    return function != nullptr ? absl::OkStatus() : Missing(name);
  }

 private:
  SharedLibrary(void* handle, std::string path) : handle_(handle), path_(std::move(path)) {}
  void* Address(const char* name) const;
  absl::Status Missing(const char* name) const;

  void* handle_;
  std::string path_;
};

}  // namespace ingot
