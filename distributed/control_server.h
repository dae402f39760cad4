#pragma once
// ControlServer: rank 0's end of the control plane. One thread, one poll loop, no thread a client. It admits ranks that
// know the secret, gathers and compares what they say, and names the one that died, fell silent or fell behind.
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "distributed/control.h"

namespace ingot {

struct ControlServerOptions {
  std::string address = "127.0.0.1";  // one address of this machine, never all of them
  int port = 0;                       // 0: any free one
  int listener = -1;                  // a socket that listens already, in place of address and port
  std::string secret;
  std::string run_id;
  int64_t size = 1;
  ControlDeadlines deadlines;
};

class ControlServer {
 public:
  // Limits on strangers: unauthenticated connections at once (the oldest gives way), and failures a second, above which
  // they are let in slowly.
  static constexpr int kMaxStrangers = 64;
  static constexpr int kMaxFailuresPerSecond = 20;

  static absl::StatusOr<std::unique_ptr<ControlServer>> Start(const ControlServerOptions& options);
  // Waits shortly for the ranks to leave, then closes all connections.
  virtual ~ControlServer() = default;

  virtual int port() const = 0;
};

}  // namespace ingot
