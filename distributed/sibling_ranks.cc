#include "distributed/sibling_ranks.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"

namespace ingot {
namespace {

// A rank connects some 50 ms after its start, and must have been seen by then.
constexpr absl::Duration kPause = absl::Milliseconds(20);

// Empty where there is none, or where it may not be read.
std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Of a process that has ended, also before its parent has asked for its status, it is empty.
std::string CommandLineOf(const std::string& process) { return Read(absl::StrCat("/proc/", process, "/cmdline")); }

std::vector<int64_t> ChildrenOf(int64_t parent) {
  std::vector<int64_t> children;
  std::error_code error;
  const std::filesystem::directory_iterator end;
  for (std::filesystem::directory_iterator task(absl::StrCat("/proc/", parent, "/task"), error); !error && task != end;
       task.increment(error)) {
    std::ifstream list(task->path() / "children");
    children.insert(children.end(), std::istream_iterator<int64_t>(list), std::istream_iterator<int64_t>());
  }
  return children;
}

Environment EnvironmentOf(int64_t pid) {
  Environment environment;
  const std::string text = Read(absl::StrCat("/proc/", pid, "/environ"));
  for (const absl::string_view entry : absl::StrSplit(text, '\0', absl::SkipEmpty())) {
    environment.insert(absl::StrSplit(entry, absl::MaxSplits('=', 1)));
  }
  return environment;
}

}  // namespace

SiblingRanks::SiblingRanks(const Launch& launch) : launch_(launch), command_line_(CommandLineOf("self")) {
  TakeEnded();
}

bool SiblingRanks::IsAlive(int64_t pid) const { return CommandLineOf(absl::StrCat(pid)) == command_line_; }

std::vector<SiblingRanks::Sibling> SiblingRanks::TakeEnded() {
  for (const int64_t pid : ChildrenOf(getppid())) {
    // One that has not begun to run this program yet has another command line.
    if (pid == getpid() || ranks_.count(pid) > 0 || strangers_.count(pid) > 0 || !IsAlive(pid)) continue;
    const absl::StatusOr<Launch> its = DetectLaunch(EnvironmentOf(pid), {});
    const bool ours = its.ok() && its->source == launch_.source && its->size == launch_.size &&
                      its->coordinator == launch_.coordinator && its->run_id == launch_.run_id &&
                      its->rank != launch_.rank;
    ours ? void(ranks_[pid] = its->rank) : void(strangers_.insert(pid));
  }
  std::vector<Sibling> ended;
  for (auto seen = ranks_.begin(); seen != ranks_.end();) {
    if (IsAlive(seen->first)) {
      ++seen;
      continue;
    }
    ended.push_back({.rank = seen->second, .pid = seen->first});
    seen = ranks_.erase(seen);
  }
  return ended;
}

SiblingWatch::SiblingWatch(SiblingRanks siblings, std::function<void(const SiblingRanks::Sibling&)> tell)
    : thread_([this, siblings = std::move(siblings), tell = std::move(tell)]() mutable {
        do {
          for (const SiblingRanks::Sibling& ended : siblings.TakeEnded()) tell(ended);
        } while (!over_.WaitForNotificationWithTimeout(kPause));
      }) {}

SiblingWatch::~SiblingWatch() {
  over_.Notify();
  thread_.join();
}

}  // namespace ingot
