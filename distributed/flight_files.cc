// Finding the records of a run and what this machine knows of their processes.
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "distributed/flight_diagnosis.h"

namespace ingot {
namespace {

// Ranks of one start that know no common number yet have begun within this time of each other, nanoseconds.
constexpr int64_t kTogether = 600'000'000'000;

// The letter of /proc/PID/stat and the process's start in Unix nanoseconds would tell a number used again; the boot id
// and the letter are enough for the minutes after a failure.
ProcessState StateOf(const FlightFile& file, const std::string& boot_id) {
  if (file.boot_id.empty() || file.boot_id != boot_id) return ProcessState::kUnknown;
  std::FILE* stat = std::fopen(absl::StrCat("/proc/", file.pid, "/stat").c_str(), "r");
  if (stat == nullptr) return ProcessState::kGone;
  char text[512] = {};
  const size_t got = std::fread(text, 1, sizeof(text) - 1, stat);
  std::fclose(stat);
  const std::string line(text, got);
  const size_t name_end = line.rfind(')');  // PID (NAME) STATE …, and a name may hold anything
  if (name_end == std::string::npos || name_end + 2 >= line.size()) return ProcessState::kUnknown;
  switch (line[name_end + 2]) {
    case 'Z':
    case 'X':
      return ProcessState::kGone;
    case 'T':
    case 't':
      return ProcessState::kStopped;
    default:
      return ProcessState::kRunning;
  }
}

std::string BootIdHere() {
  char text[64] = {};
  std::FILE* file = std::fopen("/proc/sys/kernel/random/boot_id", "r");
  if (file == nullptr) return "";
  const size_t got = std::fread(text, 1, 36, file);
  std::fclose(file);
  return std::string(text, got);
}

}  // namespace

absl::StatusOr<std::vector<RankEvidence>> ReadFlightRecords(const std::string& run_directory,
                                                            std::vector<std::string>& notes) {
  const std::string directory = FlightDirectory(run_directory);
  if (!DirectoryExists(directory)) {
    return absl::NotFoundError(absl::StrCat(directory, ": expected the flight records of a run; is ", run_directory,
                                            " the --output of `ingot train`?"));
  }
  INGOT_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
  std::vector<FlightFile> files;
  for (const std::string& name : names) {
    if (!absl::StartsWith(name, "rank-") || !absl::EndsWith(name, ".bin") || absl::StrContains(name, "previous"))
      continue;
    absl::StatusOr<FlightFile> file = ReadFlightFile(JoinPath(directory, name));
    if (file.ok()) {
      files.push_back(*std::move(file));
    } else {
      notes.push_back(absl::StrCat("passed over: ", absl::string_view(file.status().message())));
    }
  }
  if (files.empty()) return absl::NotFoundError(absl::StrCat(directory, ": there is no flight record in it"));
  const FlightFile newest = *std::max_element(files.begin(), files.end(), [](const auto& a, const auto& b) {
    return a.start_unix_nanoseconds < b.start_unix_nanoseconds;
  });
  const std::string boot_id = BootIdHere();
  std::vector<RankEvidence> all;
  for (FlightFile& file : files) {
    const bool near = newest.start_unix_nanoseconds - file.start_unix_nanoseconds < kTogether;
    const bool known = file.attempt != 0 && newest.attempt != 0;
    if (file.ranks != newest.ranks || !(known ? file.attempt == newest.attempt : near)) {
      notes.push_back(absl::StrCat("passed over: the record of rank ", file.rank, " is of an earlier start"));
      continue;
    }
    const ProcessState process = StateOf(file, boot_id);
    all.push_back({std::move(file), process});
  }
  return all;
}

}  // namespace ingot
