#include "core/base/shared_library.h"

#include <dlfcn.h>
#include <link.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"

namespace ingot {
namespace {

std::vector<std::string> Candidates(const std::string& name, const char* wish,
                                    const std::vector<std::string>& folders) {
  if (const char* const file = std::getenv(wish); file != nullptr) return {file};
  std::error_code ignored;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  std::vector<std::string> candidates = {name, (program.parent_path() / "lib" / name).string()};
  for (const std::string& folder : folders) candidates.push_back(JoinPath(folder, name));
  return candidates;
}

std::string PathOf(void* handle, const std::string& opened) {
  const link_map* map = nullptr;
  return dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map->l_name[0] != 0 ? map->l_name : opened;
}

}  // namespace

absl::StatusOr<SharedLibrary> SharedLibrary::Open(const std::string& name, const char* wish,
                                                  const std::vector<std::string>& folders) {
  std::vector<std::string> problems;
  for (const std::string& file : Candidates(name, wish, folders)) {
    void* const handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle != nullptr) return SharedLibrary(handle, PathOf(handle, file));
    problems.emplace_back(dlerror());
  }
  return absl::NotFoundError(
      absl::StrCat("no ", name, " (", absl::StrJoin(problems, "; "), "); ", wish, "=FILE names one"));
}

void* SharedLibrary::Address(const char* name) const { return dlsym(handle_, name); }

absl::Status SharedLibrary::Missing(const char* name) const {
  return absl::FailedPreconditionError(absl::StrCat(path_, " has no ", name));
}

}  // namespace ingot
