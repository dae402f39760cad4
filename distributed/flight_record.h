#pragma once
// Flight record: what a rank did last, in a file that outlives it. RUN_DIR/flight/rank-RRRRR.bin is mapped shared, so a
// write is a few stores, and a process that is killed or stopped leaves all of them to be read (a loss of power does
// not). Layout: docs/flight_record.md. `ingot doctor` reads the records of all ranks together.
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "distributed/control.h"

namespace ingot {

enum class FlightOp : uint8_t { kPhase, kExchange, kDeadline, kStop };
enum class FlightState : uint8_t { kEntered, kDone, kFailed };
const char* Name(FlightOp op);

// One entry. Ranks that run the same program have the same op, bucket and bytes at the same `sequence` of kExchange.
struct FlightEvent {
  uint32_t step = 0;
  uint16_t micro = 0;
  Phase phase = Phase::kStart;
  FlightOp op = FlightOp::kPhase;
  FlightState state = FlightState::kEntered;
  uint32_t bucket = 0;
  uint64_t bytes = 0;     // sent and received
  uint64_t sequence = 0;  // of exchanges, from 1
};

class FlightRecord {
 public:
  static constexpr uint32_t kCapacity = 8192;  // entries kept: 0.5 MiB

  // Makes RUN_DIR/flight and this rank's file in it; an earlier start's becomes rank-RRRRR.previous.bin. The file's
  // blocks are allocated at once: a disk that is full is an error here and no fault later.
  static absl::StatusOr<std::unique_ptr<FlightRecord>> Create(const std::string& run_directory, int64_t rank,
                                                              int64_t ranks, uint32_t capacity = kCapacity);
  ~FlightRecord();
  FlightRecord(const FlightRecord&) = delete;
  FlightRecord& operator=(const FlightRecord&) = delete;

  // Thread-safe, without locks, system calls or memory.
  void Add(const FlightEvent& event);
  // A number that the ranks of one start have in common: it tells their files from an earlier start's.
  void SetAttempt(uint64_t attempt);
  // The process leaves on purpose, with this code. The first call counts. `note` is cut to 255 bytes.
  void End(int exit_code, const std::string& note);

  // End() of the record that this process made last, if there is one: for threads that end the process.
  static void EndCurrent(int exit_code, const std::string& note);

 private:
  FlightRecord(void* memory, size_t bytes) : memory_(memory), bytes_(bytes) {}
  void* memory_;
  size_t bytes_;
  std::atomic<bool> ended_{false};
};

// A record as it is read.
struct FlightFile {
  struct Entry {
    uint64_t index = 0;  // from 0, over the whole start
    int64_t unix_nanoseconds = 0;
    FlightEvent event;
  };
  int64_t rank = 0, ranks = 1, pid = 0;
  uint64_t attempt = 0;
  std::string host, boot_id;
  int64_t start_unix_nanoseconds = 0;
  bool ended = false;  // left on purpose
  int exit_code = 0;
  std::string note;
  std::vector<Entry> entries;  // in order; those overwritten or being written are missing
};

// Errors: no such file, or one that is no record, named. Never reads beyond what the file holds.
absl::StatusOr<FlightFile> ReadFlightFile(const std::string& path);

std::string FlightDirectory(const std::string& run_directory);
std::string FlightPath(const std::string& run_directory, int64_t rank);

}  // namespace ingot
