#pragma once
// Metrics of a run: RUN_DIR/metrics.jsonl, TensorBoard events.
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/training/tensorboard.h"

namespace ingot {

struct TrainingRecord {
  int64_t step = 0;    // optimizer steps done
  int64_t tokens = 0;  // tokens trained on so far
  double loss = 0;     // nats a target, mean over the step
  double learning_rate = 0;
  double gradient_norm = 0;       // before clipping
  double tokens_per_second = 0;   // of this step, from its first read to its last weight
  double mfu = 0;                 // training FLOPs a second as a share of the sgemm peak measured at start
  double seconds = 0;             // of this step
  double data_wait_seconds = 0;   // of it, spent waiting for the loader
  double save_stall_seconds = 0;  // before it, spent waiting for checkpoints

  double data_wait_share() const { return seconds > 0 ? data_wait_seconds / seconds : 0; }  // of the step's time
};

struct ValidationRecord {
  int64_t step = 0;
  int64_t targets = 0;       // tokens predicted
  double loss = 0;           // nats a target
  double bits_per_byte = 0;  // total nats / ln 2 / bytes of text that the targets stand for
  double seconds = 0;
};

// Something that happened instead of a step as usual.
struct EventRecord {
  int64_t step = 0;
  std::string event;   // "skip", "rollback"
  std::string reason;  // for people
};

class MetricsLog {
 public:
  // Opens `run_directory` to go on after step `step`: lines of later steps, and a last line that a crash cut off, are
  // removed from metrics.jsonl first.
  static absl::StatusOr<MetricsLog> Open(const std::string& run_directory, int64_t step);

  // One line each, on disk as a whole or not at all.
  absl::Status Record(const TrainingRecord& record);
  absl::Status Record(const ValidationRecord& record);
  absl::Status Record(const EventRecord& record);

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  MetricsLog(std::FILE* lines, std::string path, EventWriter events)
      : lines_(lines), path_(std::move(path)), events_(std::move(events)) {}
  absl::Status WriteLine(std::string line);
  std::unique_ptr<std::FILE, Closer> lines_;
  std::string path_;
  EventWriter events_;
};

}  // namespace ingot
