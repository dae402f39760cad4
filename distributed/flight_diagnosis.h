#pragma once
// Diagnosis: the flight records of all ranks read together, to name the rank and the operation that hung, died or left
// the common course.
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "distributed/flight_record.h"

namespace ingot {

enum class ProcessState { kUnknown, kGone, kRunning, kStopped };  // unknown: on another machine

// What is known of one rank.
struct RankEvidence {
  FlightFile file;
  ProcessState process = ProcessState::kUnknown;
};

struct Diagnosis {
  enum class Kind {
    kFinished,   // all ranks left with 0 or 75
    kRunning,    // all are alive and one moved less than `quiet` ago
    kDiverged,   // one did other operations than the rest: other program, data or configuration
    kFailed,     // one left with an error of its own
    kDied,       // one is gone without having left
    kStopped,    // one is stopped by a signal
    kHung,       // one does not come to an exchange that others wait in
    kNetwork,    // all wait in the same exchange
    kIncomplete  // a rank left no record
  };
  Kind kind = Kind::kFinished;
  std::vector<int64_t> culprits;   // ranks, the likeliest first; empty where there is none
  std::string finding;             // one sentence: who, where, what
  std::string advice;              // what to do
  std::vector<std::string> ranks;  // a line for each rank: its last entry and its age
};
const char* Name(Diagnosis::Kind kind);

// `now`: Unix time, nanoseconds. `all` is not empty and holds one start's ranks.
Diagnosis Diagnose(const std::vector<RankEvidence>& all, int64_t now);

// The records of the last start in RUN_DIR, with what this machine knows of their processes. Files of earlier starts
// and such that are no records are left out, with a line each in `notes`. Errors: there is no record.
absl::StatusOr<std::vector<RankEvidence>> ReadFlightRecords(const std::string& run_directory,
                                                            std::vector<std::string>& notes);

}  // namespace ingot
