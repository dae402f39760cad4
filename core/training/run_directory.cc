#include "core/training/run_directory.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr char kLock[] = ".lock";

absl::Status CheckSameRun(const std::string& directory, const RunConfig& config) {
  const std::string path = JoinPath(directory, "config.textproto");
  if (!FileExists(path)) {
    INGOT_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
    for (const std::string& name : names) {
      if (name == kLock || absl::StartsWith(name, kTokenizedName)) continue;
      return absl::FailedPreconditionError(
          absl::StrCat(directory, ": expected an empty directory or one of an earlier start of this run (with ",
                       "config.textproto), found ", name, " in it; give another --output"));
    }
    return absl::OkStatus();
  }
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, uint64_t{1} << 20));
  std::vector<std::string> problems;
  const RunConfig stored = ParseConfig(text, path, problems);
  INGOT_RETURN_IF_ERROR(ProblemsStatus(problems));
  const std::vector<std::string> differences = ResumeDifferences(stored, config);
  if (differences.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(directory, " holds another run; give another --output or the same configuration. Differences:\n  ",
                   absl::StrJoin(differences, "\n  ")));
}

}  // namespace

absl::StatusOr<RunDirectory> RunDirectory::Open(const std::string& path, const RunConfig& config) {
  INGOT_RETURN_IF_ERROR(CreateDirectories(path));
  // Before the lock file, so that a folder of something else stays as it is; below once more, now that nobody else
  // can begin a run here.
  INGOT_RETURN_IF_ERROR(CheckSameRun(path, config));
  INGOT_ASSIGN_OR_RETURN(FileLock lock,
                         FileLock::Take(JoinPath(path, kLock),
                                        absl::StrCat(path, ": another process is training in it; wait for it to end")));
  RunDirectory directory(path, std::move(lock));
  INGOT_RETURN_IF_ERROR(CheckSameRun(path, config));
  INGOT_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(path, "config.textproto"), ConfigText(config)));
  return directory;
}

}  // namespace ingot
