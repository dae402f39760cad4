#pragma once
// Ranks: this process's place in the run, from its launch to its end. One process alone goes the same way, without a
// socket.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "distributed/communicator.h"
#include "distributed/rendezvous.h"
#include "kernels/context.h"

namespace ingot {

struct RanksOptions {
  Environment environment;
  LaunchOptions launch;
  std::string run_directory;
  std::string interface;          // as in RendezvousOptions
  bool insecure_network = false;  // as in RendezvousOptions
  ControlDeadlines deadlines;
  // Ends the process: the run is over on another rank's account. Called at most once, on a thread of its own, unless
  // Fail() was called before. Rank 0 is given time to tell the others.
  std::function<void(const Verdict&)> leave;
};

class Ranks {
 public:
  // One process, whatever the environment says.
  static std::shared_ptr<Ranks> Alone();
  // Finds rank and size in the environment and meets the others. Errors: what the launch lacks, who did not come.
  static absl::StatusOr<std::shared_ptr<Ranks>> Join(const RanksOptions& options);
  ~Ranks();

  int64_t rank() const { return control_->rank(); }
  int64_t size() const { return control_->size(); }
  bool first() const { return rank() == 0; }
  const Launch& launch() const { return launch_; }

  // Collective: an error (exit code 78) that names field, values and ranks unless all have the same fields.
  absl::Status Compare(const std::vector<ComparedField>& fields) { return control_->Compare(fields); }
  // Collective: opens the data plane. Before it communicator() may not be called. Between GPUs it is NCCL, where this
  // build and this machine have it; else, and on the emulator, Gloo. Errors: ranks that would choose differently.
  absl::Status Connect(Device device);
  // "NCCL 2.28.9, /usr/lib/libnccl.so.2", "Gloo", and on GPUs why it is Gloo; empty with one rank.
  const std::string& data_plane() const { return data_plane_; }
  Communicator& communicator() const { return *communicator_; }
  ControlPlane& control() const { return *control_; }

  // What this rank does now, for the others' error messages.
  void Report(int64_t step, Phase phase);
  // Ends the run for all ranks on account of this one, unless it has ended already; the error to leave with.
  absl::Status Fail(const absl::Status& why);

 private:
  explicit Ranks(Launch launch) : launch_(std::move(launch)) {}

  struct Leaving;
  Launch launch_;
  std::shared_ptr<Leaving> leaving_;
  std::unique_ptr<ControlPlane> control_;
  std::unique_ptr<Communicator> communicator_;  // refers to control_
  std::string data_plane_;
};

}  // namespace ingot
