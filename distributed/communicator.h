#pragma once
// Communicator: moves bytes between the ranks of a run, from and to memory of the host or of a device. Everything is built on one exchange of messages, and no value
// is ever added on the way: sums are ours, in an order of ours (distributed/sum_tree.h).
// All ranks make the same calls in the same order. An error is final: the communicator cannot be used any more.
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "distributed/flight_record.h"
#include "distributed/rendezvous.h"
#include "distributed/sum_tree.h"
#include "kernels/context.h"

namespace ingot {

// One message. Between two ranks the k-th send of an exchange meets the k-th receive.
struct Transfer {
  int64_t peer = 0;
  void* data = nullptr;
  int64_t bytes = 0;
};

class Communicator {
 public:
  virtual ~Communicator() = default;

  int64_t rank() const { return rank_; }
  int64_t size() const { return size_; }
  // Exchanges entered so far, for the flight record and the watchdog.
  uint64_t exchanges() const { return exchanges_; }  // from any thread
  // Called when an exchange is entered and when it is done or has failed, with its number (from 1) and the bytes sent and
  // received.
  using Observer = std::function<void(uint64_t number, uint64_t bytes, FlightState state)>;
  void set_observer(Observer observer) { observer_ = std::move(observer); }

  // All messages at once, in memory of the device of `where`: what is sent is what the ops run on `where` before left
  // there, and ops run on it afterwards find what came; messages of others have come when this returns. A message to
  // oneself is a copy.
  absl::Status Exchange(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives,
                        const Context& where = Context());

  absl::Status Broadcast(void* data, int64_t bytes, int64_t root);
  // parts[r] is the range of bytes of `data` that rank r has; afterwards all ranks have all of them.
  absl::Status AllGather(void* data, const std::vector<Interval>& parts, const Context& where = Context());
  // Sends blocks of `bytes` bytes: block r of `from` goes to rank r, block r of `to` comes from rank r.
  absl::Status AllToAll(const void* from, void* to, int64_t bytes);
  absl::Status Barrier();

 protected:
  Communicator(int64_t rank, int64_t size) : rank_(rank), size_(size) {}
  // Without messages to oneself.
  virtual absl::Status ExchangeWithOthers(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives,
                                          const Context& where) = 0;

 private:
  const int64_t rank_, size_;
  std::atomic<uint64_t> exchanges_{0};
  Observer observer_;
};

// One rank: only copies.
std::unique_ptr<Communicator> SingleCommunicator();

// Collective: Gloo over TCP between all ranks of `control`, which must outlive it. A message waits at most `limit`; those of
// a device go through page-locked host memory. From then on this process ignores SIGPIPE.
absl::StatusOr<std::unique_ptr<Communicator>> GlooCommunicator(ControlPlane& control, std::chrono::milliseconds limit);

// The sum of all leaves for this rank's part of the gradient.
struct TreeReduceScatter {
  // Elements of a shard that are on their way at once: 4 MiB, where Gloo's latency does not count any more.
  static constexpr int64_t kPiece = int64_t{1} << 20;

  int64_t leaves = 0;                // of the whole step
  std::vector<Interval> leaf_parts;  // by rank
  std::vector<Interval> shards;      // by rank: elements
  // Memory for what comes: elements.
  int64_t SlotElements(int64_t rank) const;
  // `nodes` are this rank's maximal nodes, whole buffers; `slots` has SlotElements(). The sum is written to this rank's
  // shard of `out`, which may be the buffer of a node. All memory is of the device of `ctx`.
  absl::Status Run(Communicator& communicator, Context& ctx, const std::vector<NodeValues>& nodes, float* slots,
                   float* out) const;
};

// The sum of all leaves over `count` elements, to `out`: values[r][i] is the i-th of rank r's maximal nodes, of which
// `out` may be one. All of them may be written over.
void AddOverRanks(Context& ctx, int64_t leaves, const std::vector<Interval>& leaf_parts,
                  const std::vector<std::vector<float*>>& values, int64_t count, float* out);

}  // namespace ingot
