#pragma once
// Launch detection: which rank of how many this process is, from its environment alone. The innermost launcher wins:
// INGOT_* (`ingot launch`), torchrun-style variables, Open MPI, PMI (MPICH, Intel MPI), a Slurm step, and otherwise one
// plain process. What is partial, out of range or contradictory is refused by the variable's name, because a process
// that trains alone by mistake looks healthy.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace ingot {

using Environment = std::map<std::string, std::string>;

enum class LaunchSource { kPlain, kExplicit, kTorchrun, kOpenMpi, kPmi, kSlurm };
const char* Name(LaunchSource source);

struct LaunchOptions {
  int64_t world_size = 0;  // what the user demands (--world-size); 0: whatever is found
  bool single = false;     // train in one process although a Slurm job has more tasks
};

struct Launch {
  static constexpr int64_t kMaxRanks = 65536;
  LaunchSource source = LaunchSource::kPlain;
  int64_t rank = 0;
  int64_t size = 1;
  int64_t local_rank = -1;  // among the ranks of this machine; -1: not told
  int64_t local_size = -1;
  std::string coordinator;  // HOST:PORT of rank 0; empty: found through the file in RUN_DIR
  std::string run_id;       // what the ranks of one start have in common; may be empty
  std::vector<std::string> notes;

  // "rank 1 of 4 (slurm)".
  std::string ToString() const;
};

// A pure function of its arguments. Errors (exit code 2): what is missing or contradicts itself.
absl::StatusOr<Launch> DetectLaunch(const Environment& environment, const LaunchOptions& options);

// The environment of this process.
Environment ProcessEnvironment();

// Tasks on node `node` by Slurm's notation "2,1(x3)": 2 on node 0, 1 on nodes 1 to 3. -1 if the text is not that.
int64_t SlurmTasksOfNode(const std::string& text, int64_t node);

}  // namespace ingot
