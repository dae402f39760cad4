// How a checkpoint gets its name and loses it: every change of RUN_DIR/checkpoints is one rename.
#include "core/training/checkpoint.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/training/checkpoint_files.h"
#include "core/training/manifest.h"
#include "distributed/exit_codes.h"
#include "distributed/wire.h"

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

absl::StatusOr<FileRecords> WriteOwnFiles(const std::string& temporary, const CheckpointContents& contents,
                                          const CheckpointRanks& ranks) {
  if (!ranks.first()) INGOT_RETURN_IF_ERROR(AwaitCheckpointDirectory(temporary));
  return WriteCheckpointFiles(temporary, contents, ranks.rank(), ranks.size());
}

// Collective: the manifest of what all ranks have written, or the error of the lowest one that has one. On the wire: a
// rank's status, and the records of its tensors' files in the order of FilesOf(). Of the other files rank 0 knows.
absl::StatusOr<Manifest> TellRecords(const std::string& what, const absl::StatusOr<FileRecords>& mine,
                                     const CheckpointContents& contents, bool marked, const CheckpointRanks& ranks) {
  WireWriter own;
  WriteStatus(mine.status(), ranks.size(), own);
  for (const CheckpointFile& file : FilesOf(contents, ranks.rank(), ranks.size())) {
    if (mine.ok()) own.Number(mine->at(file.name).bytes).Number(mine->at(file.name).crc32c);
  }
  INGOT_ASSIGN_OR_RETURN(const std::vector<std::string> all, ranks.Tell(what, own.bytes()));
  Manifest manifest{.step = contents.state.step, .marked = marked, .files = {}};
  if (mine.ok()) manifest.files = *mine;
  for (int64_t rank = 0; rank < ranks.size(); ++rank) {
    WireReader reader(all[rank]);
    const absl::Status status = ReadStatus(reader);
    if (!status.ok()) return ranks.size() == 1 ? status : Annotate(status, absl::StrCat("rank ", rank, ": "));
    for (const CheckpointFile& file : FilesOf(contents, rank, ranks.size())) {
      FileRecord& record = manifest.files[file.name];
      record.bytes = reader.Number();
      record.crc32c = static_cast<uint32_t>(reader.Number());
    }
    if (!reader.done()) return absl::InternalError(absl::StrCat(what, ": rank ", rank, " tells of other files"));
  }
  return manifest;
}

// The files of a checkpoint that `ranks.rank()` reads to verify it; the first of them that does not hold, by its place
// in the manifest, and why.
std::pair<uint64_t, absl::Status> VerifyShare(const std::string& path, const CheckpointRanks& ranks) {
  const absl::StatusOr<Manifest> manifest = ReadCheckpointListing(path);
  if (!manifest.ok()) return {0, manifest.status()};
  std::vector<int64_t> bytes;
  for (const auto& file : manifest->files) bytes.push_back(static_cast<int64_t>(file.second.bytes));
  const std::vector<int64_t> readers = DealInOrder(bytes, ranks.size());
  uint64_t i = 0;
  for (const auto& [name, record] : manifest->files) {
    if (readers[i++] != ranks.rank()) continue;
    const absl::Status status = CheckContentsOf(name, record, path);
    if (!status.ok()) return {i, status};
  }
  return {0, absl::OkStatus()};
}

// Collective: why the checkpoint is not whole, the same for any number of ranks; empty if it is.
absl::StatusOr<std::string> VerifyTogether(const std::string& path, const CheckpointRanks& ranks) {
  if (!ranks.first()) INGOT_RETURN_IF_ERROR(AwaitCheckpointDirectory(path));
  const auto [place, status] = VerifyShare(path, ranks);
  WireWriter own;
  own.Number(place);
  WriteStatus(status, ranks.size(), own);
  INGOT_ASSIGN_OR_RETURN(const std::vector<std::string> all,
                         ranks.Tell(absl::StrCat("reading ", BaseName(path)), own.bytes()));
  std::optional<std::pair<uint64_t, std::string>> first;
  for (const std::string& bytes : all) {
    WireReader reader(bytes);
    const uint64_t its = reader.Number();
    const absl::Status told = ReadStatus(reader);
    if (!told.ok() && (!first.has_value() || its < first->first)) first = {its, std::string(told.message())};
  }
  return first.has_value() ? first->second : std::string();
}

}  // namespace

CheckpointStore::CheckpointStore(std::string run_directory, int64_t keep_last, int64_t keep_every,
                                 int64_t keep_newest_of, CheckpointRanks ranks)
    : run_directory_(std::move(run_directory)),
      keep_last_(keep_last),
      keep_every_(keep_every),
      keep_newest_of_(keep_newest_of),
      ranks_(ranks) {
  INGOT_CHECK(keep_last >= 1 && keep_every >= 0, "keep_last %lld, keep_every %lld", static_cast<long long>(keep_last),
              static_cast<long long>(keep_every));
}

absl::Status CheckpointStore::Save(const CheckpointContents& contents, bool marked) {
  const std::string what = absl::StrCat("the save of step ", contents.state.step);
  const absl::StatusOr<std::string> begun = ranks_.first() ? Begin(contents.state.step) : std::string();
  const absl::StatusOr<std::string> name = ranks_.FromFirst(what + ", its directory", begun);
  if (ExitCodeOf(name.status()) != 1) return name.status();  // the control plane's
  if (!name.ok()) return Explained(name.status(), contents, run_directory_);
  const std::string temporary = JoinPath(CheckpointsOf(run_directory_), *name);
  const absl::StatusOr<FileRecords> mine = WriteOwnFiles(temporary, contents, ranks_);
  const absl::StatusOr<Manifest> manifest = TellRecords(what + ", its files", mine, contents, marked, ranks_);
  const absl::Status ended = ranks_.first() ? End(contents, temporary, manifest) : absl::OkStatus();
  if (ExitCodeOf(manifest.status()) != 1) return manifest.status();  // nobody is there to be told
  return ranks_.FromFirst(what + ", its end", ended);
}

// Rank 0: makes the temporary directory; its name.
absl::StatusOr<std::string> CheckpointStore::Begin(int64_t step) {
  const std::string directory = CheckpointsOf(run_directory_);
  INGOT_RETURN_IF_ERROR(CreateDirectories(directory));
  INGOT_RETURN_IF_ERROR(SyncDirectory(run_directory_));
  RemoveLeftovers(directory);
  // Another name if this process saves the step again: what a network's file system remembers of the first on another
  // machine may by now be the committed directory.
  const int64_t again = begun_[step]++;
  const std::string name =
      absl::StrCat(kTemporaryPrefix, StepName(step), again == 0 ? "" : absl::StrCat("-", again + 1));
  if (const absl::Status made = MakeCheckpointDirectory(JoinPath(directory, name)); !made.ok()) {
    RemoveRecursively(JoinPath(directory, name)).IgnoreError();
    return made;
  }
  return name;
}

// Rank 0: all have written, or one has failed.
absl::Status CheckpointStore::End(const CheckpointContents& contents, const std::string& temporary,
                                  const absl::StatusOr<Manifest>& manifest) const {
  const std::string directory = CheckpointsOf(run_directory_);
  const auto commit = [&]() -> absl::Status {
    INGOT_RETURN_IF_ERROR(manifest.status());
    INGOT_RETURN_IF_ERROR(WriteCheckpointManifest(temporary, *manifest));
    return Commit(temporary, *manifest, JoinPath(directory, StepName(contents.state.step)));
  };
  if (const absl::Status status = commit(); !status.ok()) {
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

// Rank 0: takes the newest of `steps` off whose manifest and sizes hold; its name, or nothing.
absl::StatusOr<std::string> CheckpointStore::NextCandidate(std::map<int64_t, std::string>& steps, int64_t multiple_of,
                                                           std::vector<std::string>& rejected) const {
  while (!steps.empty()) {
    const auto [step, path] = *steps.rbegin();
    steps.erase(step);
    if (step % multiple_of != 0) continue;
    const absl::Status status = ReadCheckpointListing(path).status();
    if (status.ok()) return BaseName(path);
    rejected.push_back(absl::StrCat(path, ": ", absl::string_view(status.message())));
  }
  return std::string();
}

absl::StatusOr<std::optional<std::string>> CheckpointStore::NewestValid(std::vector<std::string>& rejected,
                                                                        int64_t multiple_of) const {
  const std::string directory = CheckpointsOf(run_directory_);
  absl::StatusOr<std::map<int64_t, std::string>> steps = std::map<int64_t, std::string>();
  if (ranks_.first()) steps = Steps(directory);
  for (;;) {
    const absl::StatusOr<std::string> candidate =
        steps.ok() ? NextCandidate(*steps, multiple_of, rejected) : absl::StatusOr<std::string>(steps.status());
    INGOT_ASSIGN_OR_RETURN(const std::string name, ranks_.FromFirst("the choice of a checkpoint", candidate));
    if (name.empty()) return std::nullopt;
    const std::string path = JoinPath(directory, name);
    INGOT_ASSIGN_OR_RETURN(const std::string problem, VerifyTogether(path, ranks_));
    if (problem.empty()) return path;
    if (ranks_.first()) rejected.push_back(absl::StrCat(path, ": ", problem));
  }
}

}  // namespace ingot
