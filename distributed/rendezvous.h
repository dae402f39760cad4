#pragma once
// Rendezvous: how the ranks of a run find rank 0, prove that they belong to it, and stay in touch.
//   INGOT_COORDINATOR (or MASTER_ADDR:MASTER_PORT) with a secret, or on the loopback interface: rank 0 listens there.
//   Otherwise: rank 0 listens on a free port and leaves address and a fresh secret in RUN_DIR/.rendezvous, mode 0600;
//   whoever may read that file belongs to the run.
// A secret comes by INGOT_SECRET_FD (a pipe, from `ingot launch`) or INGOT_SECRET_FILE (mode 0600).
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "distributed/control_client.h"
#include "distributed/control_server.h"
#include "distributed/launch.h"

namespace ingot {

inline constexpr char kRendezvousFile[] = ".rendezvous";

struct RendezvousOptions {
  Launch launch;
  Environment environment;
  std::string run_directory;
  std::string interface;          // of the network between machines; empty: the first that is up
  bool insecure_network = false;  // allow a coordinator on the network without a secret
  ControlDeadlines deadlines;
  std::function<void(const Verdict&)> on_verdict;  // on a thread of its own
};

// A rank's place in the run. With one rank there is no socket, and every call returns at once.
class ControlPlane {
 public:
  // Collective: returns when all ranks are there.
  static absl::StatusOr<std::unique_ptr<ControlPlane>> Join(const RendezvousOptions& options);
  ~ControlPlane();

  int64_t rank() const { return rank_; }
  int64_t size() const { return size_; }
  // The address of this machine that reaches rank 0: where the data plane listens.
  const std::string& local_address() const { return local_address_; }
  const ControlDeadlines& deadlines() const { return deadlines_; }

  // As in ControlClient.
  absl::StatusOr<std::vector<std::string>> Gather(const std::string& name, const std::string& blob);
  absl::StatusOr<std::vector<std::string>> Gather(const std::string& name, const std::string& blob,
                                                  std::chrono::milliseconds limit);
  absl::Status Compare(const std::vector<ComparedField>& fields);
  absl::Status Put(const std::string& key, const std::string& value);
  absl::StatusOr<std::string> Get(const std::string& key);
  absl::StatusOr<std::optional<std::string>> Claim(const std::string& key);  // one rank finds everything itself
  void Report(const RankProgress& progress);
  void Fail(ExitCode code, const std::string& text);
  void Stuck(const std::string& text);
  void Leave();
  std::optional<Verdict> WaitForVerdict(std::chrono::milliseconds limit);

 private:
  ControlPlane(const RendezvousOptions& options);
  absl::Status Connect(const RendezvousOptions& options);

  int64_t rank_, size_;
  std::string local_address_ = "127.0.0.1";
  ControlDeadlines deadlines_;
  std::unique_ptr<ControlServer> server_;  // rank 0; outlives the client
  std::unique_ptr<ControlClient> client_;
};

// The secret of `environment`; empty if there is none. Errors (exit code 77): a file that others may read or change.
absl::StatusOr<std::string> ReadSecret(const Environment& environment);

// The network interface that has this IPv4 address; empty if none has.
std::string InterfaceOfAddress(const std::string& address);

// RUN_DIR/.rendezvous.
absl::Status WriteMeeting(const std::string& run_directory, const Meeting& meeting);
absl::StatusOr<Meeting> ReadMeeting(const std::string& run_directory);

}  // namespace ingot
