#pragma once
// CheckpointRanks: the ranks that write or verify one checkpoint together, as they tell each other over the control plane
// how it went. Not over the data plane: that belongs to training, which goes on meanwhile.
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "distributed/rendezvous.h"
#include "distributed/wire.h"

namespace ingot {

class CheckpointRanks {
 public:
  // One rank.
  CheckpointRanks() = default;
  // `control` must outlive it. The last rank may come `limit` after the first; otherwise it is named and the run ends.
  CheckpointRanks(ControlPlane& control, std::chrono::milliseconds limit) : control_(&control), limit_(limit) {}

  int64_t rank() const { return control_ == nullptr ? 0 : control_->rank(); }
  int64_t size() const { return control_ == nullptr ? 1 : control_->size(); }
  bool first() const { return rank() == 0; }

  // All below are collective; `what` is the same on all ranks and names what is waited for. An error of the control
  // plane has an exit code (distributed/exit_codes.h) and ends the run.

  // The texts of all ranks, by rank; all together at most 64 KiB.
  absl::StatusOr<std::vector<std::string>> Tell(const std::string& what, const std::string& mine) const;
  // What rank 0 has, a value or an error.
  absl::StatusOr<std::string> FromFirst(const std::string& what, const absl::StatusOr<std::string>& mine) const;
  absl::Status FromFirst(const std::string& what, const absl::Status& mine) const;

 private:
  ControlPlane* control_ = nullptr;
  std::chrono::milliseconds limit_{};
};

// A status as bytes for Tell(); its text is cut so that those of `ranks` ranks fit.
void WriteStatus(const absl::Status& status, int64_t ranks, WireWriter& to);
absl::Status ReadStatus(WireReader& from);

}  // namespace ingot
