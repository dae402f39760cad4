#pragma once
// Staging: messages that cannot be sent from where they lie go through a buffer, in rounds of one chunk of each message,
// at both of its ends: between host memory and a network of GPUs, or between a GPU and a network of hosts.
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "distributed/communicator.h"

namespace ingot {

// The chunk of a message that one round moves.
struct StagedPart {
  int64_t peer = 0;
  char* data = nullptr;  // where it lies
  int64_t place = 0;     // in the buffer
  int64_t bytes = 0;
  Transfer In(void* buffer) const { return {peer, static_cast<char*>(buffer) + place, bytes}; }
};

struct StagedRound {
  std::vector<StagedPart> sends, receives;
  int64_t bytes = 0;  // of the buffer
};

// Calls `run` for each round, until its first error. Chunks have `chunk` bytes or what is left: the same on all ranks.
absl::Status ExchangeStaged(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives, int64_t chunk,
                            const std::function<absl::Status(const StagedRound&)>& run);

// The bytes of a chunk for messages to and from so many ranks.
int64_t StagedChunk(int64_t ranks);

}  // namespace ingot
