// How a checkpoint gets its name and loses it: every change of RUN_DIR/checkpoints is one rename.
#include "core/training/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/training/checkpoint_files.h"
#include "core/training/manifest.h"

namespace ingot {
namespace {

constexpr char kStepPrefix[] = "step-";
constexpr char kTemporaryPrefix[] = ".tmp-";  // being written
constexpr char kTrashPrefix[] = ".trash-";    // being removed

std::string CheckpointsOf(const std::string& run_directory) { return JoinPath(run_directory, "checkpoints"); }
std::string StepName(int64_t step) { return absl::StrFormat("%s%08d", kStepPrefix, step); }

// The step-… directories by step. Other names are nobody's business here.
absl::StatusOr<std::map<int64_t, std::string>> Steps(const std::string& directory) {
  std::map<int64_t, std::string> steps;
  if (!DirectoryExists(directory)) return steps;
  INGOT_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  for (const std::string& name : names) {
    int64_t step = 0;
    if (!absl::StartsWith(name, kStepPrefix)) continue;
    if (absl::SimpleAtoi(name.substr(sizeof(kStepPrefix) - 1), &step) && StepName(step) == name) {
      steps[step] = JoinPath(directory, name);
    }
  }
  return steps;
}

// Removes what an interrupted Save left. What cannot be removed is no reason to stop a run: the next Save tries again.
void RemoveLeftovers(const std::string& directory) {
  const absl::StatusOr<std::vector<std::string>> names = ListDirectory(directory);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (absl::StartsWith(name, kTemporaryPrefix) || absl::StartsWith(name, kTrashPrefix)) {
      RemoveRecursively(JoinPath(directory, name)).IgnoreError();
    }
  }
}

// Swaps two directories in one step, so that there is one by the name `b` at any instant.
absl::Status Exchange(const std::string& a, const std::string& b) {
  if (renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat(b, ": replacing it by a rename failed"));
}

// Gives `temporary` its name. A directory already there stays if it is whole and says the same (a resumed run came to
// the same step again), and is replaced otherwise.
absl::Status Commit(const std::string& temporary, const Manifest& manifest, const std::string& final_path) {
  const absl::Status renamed = RenameWithoutReplacing(temporary, final_path);
  if (renamed.ok() || !absl::IsAlreadyExists(renamed)) return renamed;
  const bool whole = VerifyCheckpoint(final_path).ok();
  if (whole) {
    INGOT_ASSIGN_OR_RETURN(const Manifest old, ReadCheckpointManifest(final_path));
    const auto same = [](const auto& a, const auto& b) {
      return a.first == b.first && a.second.bytes == b.second.bytes && a.second.crc32c == b.second.crc32c;
    };
    const bool equal = old.files.size() == manifest.files.size() &&
                       std::equal(old.files.begin(), old.files.end(), manifest.files.begin(), same);
    if (equal && (old.marked || !manifest.marked)) return RemoveRecursively(temporary);
  }
  const absl::Status exchanged = Exchange(temporary, final_path);
  if (exchanged.ok()) return RemoveRecursively(temporary);
  if (whole) return exchanged;
  INGOT_RETURN_IF_ERROR(RemoveRecursively(final_path));  // a file system that cannot swap: nothing good is lost
  return RenameWithoutReplacing(temporary, final_path);
}

absl::Status Explained(const absl::Status& status, const CheckpointContents& contents, const std::string& directory) {
  if (!absl::IsResourceExhausted(status)) return Annotate(status, "checkpoint not saved: ");
  const int64_t values = contents.table->parameters * (contents.weights_dtype == DType::kF32 ? 3 : 4);
  const absl::StatusOr<uint64_t> bytes_free = FreeBytes(directory);
  return absl::ResourceExhaustedError(absl::StrCat(
      "checkpoint not saved, the disk is full: it needs about ", values * 4, " bytes, ",
      bytes_free.ok() ? absl::StrCat(*bytes_free) : "an unknown number", " are free; free space, or lower ",
      "checkpoint.keep_last for the next run (", absl::string_view(status.message()), ")"));
}

}  // namespace

CheckpointStore::CheckpointStore(std::string run_directory, int64_t keep_last, int64_t keep_every,
                                 int64_t keep_newest_of)
    : run_directory_(std::move(run_directory)),
      keep_last_(keep_last),
      keep_every_(keep_every),
      keep_newest_of_(keep_newest_of) {
  INGOT_CHECK(keep_last >= 1 && keep_every >= 0, "keep_last %lld, keep_every %lld", static_cast<long long>(keep_last),
              static_cast<long long>(keep_every));
}

absl::Status CheckpointStore::Save(const CheckpointContents& contents, bool marked) {
  const std::string directory = CheckpointsOf(run_directory_);
  const std::string name = StepName(contents.state.step);
  const std::string temporary = JoinPath(directory, kTemporaryPrefix + name);
  INGOT_RETURN_IF_ERROR(CreateDirectories(directory));
  INGOT_RETURN_IF_ERROR(SyncDirectory(run_directory_));
  RemoveLeftovers(directory);
  const auto write = [&]() -> absl::Status {
    INGOT_ASSIGN_OR_RETURN(const Manifest manifest, WriteCheckpointFiles(temporary, contents, marked));
    return Commit(temporary, manifest, JoinPath(directory, name));
  };
  if (const absl::Status status = write(); !status.ok()) {
    RemoveRecursively(temporary).IgnoreError();
    return Explained(status, contents, directory);
  }
  INGOT_RETURN_IF_ERROR(SyncDirectory(directory));
  RemoveSurplus(contents.state.step).IgnoreError();  // this one is saved, and the next Save tries again
  return absl::OkStatus();
}

absl::Status CheckpointStore::RemoveSurplus(int64_t saved_step) const {
  const std::string directory = CheckpointsOf(run_directory_);
  INGOT_ASSIGN_OR_RETURN(const auto steps, Steps(directory));
  int64_t kept = 0;
  bool has_newest_of = keep_newest_of_ == 0;
  for (auto it = steps.rbegin(); it != steps.rend(); ++it) {
    const auto& [step, path] = *it;
    const absl::StatusOr<Manifest> manifest = ReadCheckpointManifest(path);
    // What is not whole does not count as kept; it is left for a person to look at.
    if (!manifest.ok() || !CheckSizes(*manifest, path).ok()) continue;
    const bool newest_of = !has_newest_of && step % keep_newest_of_ == 0;
    has_newest_of |= newest_of;
    if (++kept <= keep_last_ || newest_of || step == saved_step || manifest->marked) continue;
    if (keep_every_ > 0 && step % keep_every_ == 0) continue;
    const std::string trash = JoinPath(directory, kTrashPrefix + BaseName(path));
    if (!RenameWithoutReplacing(path, trash).ok()) continue;  // the next Save tries again
    INGOT_RETURN_IF_ERROR(SyncDirectory(directory));
    RemoveRecursively(trash).IgnoreError();
  }
  return absl::OkStatus();
}

void CheckpointStore::CleanUp() const {
  const std::string directory = CheckpointsOf(run_directory_);
  if (DirectoryExists(directory)) RemoveLeftovers(directory);
}

absl::StatusOr<std::optional<std::string>> CheckpointStore::NewestValid(std::vector<std::string>& rejected,
                                                                        int64_t multiple_of) const {
  INGOT_ASSIGN_OR_RETURN(const auto steps, Steps(CheckpointsOf(run_directory_)));
  for (auto it = steps.rbegin(); it != steps.rend(); ++it) {
    if (it->first % multiple_of != 0) continue;
    const absl::Status status = VerifyCheckpoint(it->second);
    if (status.ok()) return it->second;
    rejected.push_back(absl::StrCat(it->second, ": ", absl::string_view(status.message())));
  }
  return std::nullopt;
}

}  // namespace ingot
