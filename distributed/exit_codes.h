#pragma once
// Exit codes that a job script acts on, carried by an absl::Status from where it arises to main(). docs/distributed.md
// says which of them are worth a new start.
#include "absl/status/status.h"

namespace ingot {

enum class ExitCode {
  kError = 1,
  kUsage = 2,            // wrong usage, launch refused
  kPeer = 74,            // another rank died or hangs, or the network does
  kSaved = 75,           // saved on request; the same command goes on
  kRanksDisagree = 76,   // parameters differ between ranks
  kSecret = 77,          // permissions, secret
  kConfiguration = 78,   // the ranks were not started alike
  kStoppedByPolicy = 79  // loss spike or numbers that are not finite
};

absl::Status WithExitCode(absl::Status status, ExitCode code);

// 1 for a status without one.
int ExitCodeOf(const absl::Status& status);

}  // namespace ingot
