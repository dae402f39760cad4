#pragma once
// PartExchange: every rank has buffers of values of which each rank owns parts; one exchange brings the parts to their
// owners.
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "core/base/bf16.h"
#include "distributed/communicator.h"
#include "distributed/sum_tree.h"

namespace ingot {

struct PartExchange {
  // How a buffer's values travel: as they are, or in 2 bytes, which must not change them.
  enum class Wire { kF32, kBf16 };

  std::vector<std::vector<Wire>> buffers;    // by rank: those that it has
  std::vector<std::vector<Interval>> parts;  // by rank: the elements of all buffers that it owns

  // Elements of the parts of one rank.
  int64_t OwnedBy(int64_t rank) const;
  // Memory for what comes: floats.
  int64_t ReceivedElements(int64_t rank) const;
  // Memory for what is sent and comes in 2 bytes: elements.
  int64_t NarrowElements(int64_t rank) const;

  // `own`: this rank's buffers. All memory is of the device of `ctx`. Afterwards At() has what the owner of the parts
  // needs, for ops of `ctx`.
  absl::Status Run(Communicator& communicator, Context& ctx, const std::vector<float*>& own, float* received,
                   Bf16* narrow) const;
  // By rank and buffer: own part `part` of it.
  std::vector<std::vector<float*>> At(int64_t rank, size_t part, const std::vector<float*>& own, float* received) const;
};

}  // namespace ingot
