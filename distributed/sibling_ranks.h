#pragma once
// SiblingRanks: ranks of this run that end before they have met rank 0. They have no connection yet whose end would tell
// of it; but the ranks of a machine are children of one process of their launcher (a daemon of mpirun, a step of Slurm, a
// shell), and see each other in /proc. A sibling is a child of the same parent with the same command line, whose
// environment makes it another rank of the same start. Where /proc does not tell there is none.
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "distributed/launch.h"

namespace ingot {

class SiblingRanks {
 public:
  struct Sibling {
    int64_t rank = 0, pid = 0;
  };

  // Looks for the first time.
  explicit SiblingRanks(const Launch& launch);
  // Looks again: those that were there at an earlier look and have ended.
  std::vector<Sibling> TakeEnded();

 private:
  bool IsAlive(int64_t pid) const;

  const Launch launch_;
  const std::string command_line_;
  std::map<int64_t, int64_t> ranks_;  // by process id, of those that were seen
  std::set<int64_t> strangers_;       // process ids of other children
};

// Looks many times a second, on a thread of its own, and tells of each that has ended.
class SiblingWatch {
 public:
  SiblingWatch(SiblingRanks siblings, std::function<void(const SiblingRanks::Sibling&)> tell);
  ~SiblingWatch();

 private:
  absl::Notification over_;
  std::thread thread_;
};

}  // namespace ingot
