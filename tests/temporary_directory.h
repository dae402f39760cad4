#pragma once
// A directory that goes away with its test.
#include <stdlib.h>

#include <cstdio>
#include <string>

#include "core/base/check.h"
#include "core/base/file.h"

namespace ingot {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    const char* base = getenv("TMPDIR");
    path_ = JoinPath(base != nullptr ? base : P_tmpdir, "ingot-test-XXXXXX");
    INGOT_CHECK(mkdtemp(path_.data()) != nullptr, "cannot make %s", path_.c_str());
  }
  ~TemporaryDirectory() { RemoveRecursively(path_).IgnoreError(); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return JoinPath(path_, name); }

 private:
  std::string path_;
};

}  // namespace ingot
