#pragma once
// ControlClient: a rank's end of the control plane; rank 0 has one too. A thread sends heartbeats and hears verdicts,
// whatever the thread that trains is doing.
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "distributed/control.h"

namespace ingot {

// Where rank 0 listens and what proves that one belongs to the run.
struct Meeting {
  std::string address;  // IPv4
  int port = 0;
  std::string secret;
  std::string run_id;
};

struct ControlClientOptions {
  // Asked before each attempt: the file that holds the answer may be older than rank 0.
  std::function<absl::StatusOr<Meeting>()> meeting;
  int64_t rank = 0;
  int64_t size = 1;
  std::string source;  // Name(LaunchSource)
  ControlDeadlines deadlines;
  // Called once, on the client's thread, when the run is over for a reason: the process should end.
  std::function<void(const Verdict&)> on_verdict;
};

class ControlClient {
 public:
  // Tries until deadlines.connect. Errors: nobody there, somebody there without the secret (exit code 77).
  static absl::StatusOr<std::unique_ptr<ControlClient>> Connect(ControlClientOptions options);
  virtual ~ControlClient() = default;

  // Collective: the blobs of all ranks, by rank. All ranks call with the same name. The last may come `limit` after the
  // first, or the run ends by a verdict.
  virtual absl::StatusOr<std::vector<std::string>> Gather(const std::string& name, const std::string& blob,
                                                          std::chrono::milliseconds limit) = 0;
  // Collective: an error that names field, values and ranks unless all ranks have the same fields.
  virtual absl::Status Compare(const std::vector<ComparedField>& fields) = 0;
  // A table of keys and values that rank 0 keeps. Get waits for the key.
  virtual absl::Status Put(const std::string& key, const std::string& value) = 0;
  virtual absl::StatusOr<std::string> Get(const std::string& key, std::chrono::milliseconds limit) = 0;
  // The value of a key, or nothing for the first that asks for one that is not there: it is to find the value and Put() it,
  // and the others wait for it here. So that they do not wait for each other, whoever finds it asks nobody meanwhile.
  virtual absl::StatusOr<std::optional<std::string>> Claim(const std::string& key, std::chrono::milliseconds limit) = 0;

  // This machine's address on the connection to rank 0.
  virtual const std::string& local_address() const = 0;

  // What the next heartbeats say. Thread-safe.
  virtual void Report(const RankProgress& progress) = 0;
  // Ends the run for all ranks on this one's account; the verdict is waited for shortly.
  virtual void Fail(ExitCode code, const std::string& text) = 0;
  // A deadline of this rank passed: rank 0 decides whom to blame; the verdict is waited for shortly.
  virtual void Stuck(const std::string& text) = 0;
  // A rank of this machine was seen to end, whether it had met rank 0 or not.
  virtual void TellEnded(int64_t rank, int64_t pid) = 0;
  // Done: closing the connection is no death any more.
  virtual void Leave() = 0;
  // Waits up to `limit` for a verdict: an error of the data plane is often the echo of one under way.
  virtual std::optional<Verdict> WaitForVerdict(std::chrono::milliseconds limit) = 0;
};

// A verdict as an error with its exit code.
absl::Status StatusOf(const Verdict& verdict);

}  // namespace ingot
