#include "distributed/communicator.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "distributed/part_exchange.h"
#include "kernels/copy.h"

namespace ingot {
namespace {

class OneRank : public Communicator {
 public:
  OneRank() : Communicator(0, 1) {}

 protected:
  absl::Status ExchangeWithOthers(absl::Span<const Transfer>, absl::Span<const Transfer>, const Context&) override {
    return absl::OkStatus();
  }
};

std::vector<Transfer> Without(absl::Span<const Transfer> all, int64_t rank) {
  std::vector<Transfer> others;
  std::copy_if(all.begin(), all.end(), std::back_inserter(others),
               [rank](const Transfer& transfer) { return transfer.peer != rank && transfer.bytes > 0; });
  return others;
}

std::vector<Transfer> Only(absl::Span<const Transfer> all, int64_t rank) {
  std::vector<Transfer> own;
  std::copy_if(all.begin(), all.end(), std::back_inserter(own),
               [rank](const Transfer& transfer) { return transfer.peer == rank && transfer.bytes > 0; });
  return own;
}

uint64_t BytesOf(const std::vector<Transfer>& transfers) {
  uint64_t bytes = 0;
  for (const Transfer& transfer : transfers) bytes += static_cast<uint64_t>(transfer.bytes);
  return bytes;
}

// Piece `index` of a shard.
Interval PieceOf(Interval shard, int64_t index) {
  const int64_t begin = std::min(shard.begin + index * TreeReduceScatter::kPiece, shard.end);
  return {begin, std::min(begin + TreeReduceScatter::kPiece, shard.end)};
}

}  // namespace

std::unique_ptr<Communicator> SingleCommunicator() { return std::make_unique<OneRank>(); }

absl::Status Communicator::Exchange(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives,
                                    const Context& where) {
  ++exchanges_;
  const std::vector<Transfer> from = Only(sends, rank_), to = Only(receives, rank_);
  Context ctx = where;
  INGOT_CHECK(from.size() == to.size(), "%zu messages to oneself, %zu from", from.size(), to.size());
  for (size_t i = 0; i < from.size(); ++i) {
    INGOT_CHECK(from[i].bytes == to[i].bytes, "a message to oneself of another size");
    if (from[i].data == to[i].data) continue;
    ctx.Run(Copy{.x = Tensor(from[i].data, DType::kU8, {from[i].bytes}),
                 .y = Tensor(to[i].data, DType::kU8, {to[i].bytes})});
  }
  const std::vector<Transfer> out = Without(sends, rank_), in = Without(receives, rank_);
  if (observer_) observer_(exchanges_, BytesOf(out) + BytesOf(in), FlightState::kEntered);
  const absl::Status status = ExchangeWithOthers(out, in, where);
  if (observer_) {
    observer_(exchanges_, BytesOf(out) + BytesOf(in), status.ok() ? FlightState::kDone : FlightState::kFailed);
  }
  return status;
}

absl::Status Communicator::Broadcast(void* data, int64_t bytes, int64_t root) {
  std::vector<Transfer> sends, receives;
  if (rank_ == root) {
    for (int64_t peer = 0; peer < size_; ++peer) {
      if (peer != root) sends.push_back({peer, data, bytes});
    }
  } else {
    receives.push_back({root, data, bytes});
  }
  return Exchange(sends, receives);
}

absl::Status Communicator::AllGather(void* data, const std::vector<Interval>& parts, const Context& where) {
  std::vector<Transfer> sends, receives;
  char* const bytes = static_cast<char*>(data);
  for (int64_t step = 1; step < size_; ++step) {  // each rank begins with another peer
    const int64_t to = (rank_ + step) % size_, from = (rank_ + size_ - step) % size_;
    sends.push_back({to, bytes + parts[rank_].begin, parts[rank_].size()});
    receives.push_back({from, bytes + parts[from].begin, parts[from].size()});
  }
  return Exchange(sends, receives, where);
}

absl::Status Communicator::AllToAll(const void* from, void* to, int64_t bytes) {
  std::vector<Transfer> sends, receives;
  for (int64_t peer = 0; peer < size_; ++peer) {
    sends.push_back({peer, const_cast<char*>(static_cast<const char*>(from)) + peer * bytes, bytes});
    receives.push_back({peer, static_cast<char*>(to) + peer * bytes, bytes});
  }
  return Exchange(sends, receives);
}

absl::Status Communicator::Barrier() {
  std::vector<char> from(static_cast<size_t>(size_)), to(from.size());
  return AllToAll(from.data(), to.data(), 1);
}

int64_t TreeReduceScatter::SlotElements(int64_t rank) const {
  int64_t slots = 0;
  for (size_t other = 0; other < leaf_parts.size(); ++other) {
    if (static_cast<int64_t>(other) != rank)
      slots += static_cast<int64_t>(MaximalNodes(leaves, leaf_parts[other]).size());
  }
  return slots * std::min(kPiece, shards[rank].size());
}

absl::Status TreeReduceScatter::Run(Communicator& communicator, Context& ctx, const std::vector<NodeValues>& nodes,
                                    float* slots, float* out) const {
  const int64_t rank = communicator.rank();
  int64_t pieces = 0;
  for (const Interval& shard : shards) pieces = std::max(pieces, (shard.size() + kPiece - 1) / kPiece);
  std::vector<float*> own;
  for (const NodeValues& node : nodes) own.push_back(node.values);
  for (int64_t piece = 0; piece < pieces; ++piece) {
    PartExchange exchange;
    for (size_t peer = 0; peer < shards.size(); ++peer) {
      exchange.parts.push_back({PieceOf(shards[peer], piece)});
      exchange.buffers.emplace_back(MaximalNodes(leaves, leaf_parts[peer]).size(), PartExchange::Wire::kF32);
    }
    INGOT_RETURN_IF_ERROR(exchange.Run(communicator, ctx, own, slots, nullptr));
    const Interval mine = exchange.parts[rank][0];
    if (mine.size() == 0) continue;
    const std::vector<std::vector<float*>> at = exchange.At(rank, 0, own, slots);
    AddOverRanks(ctx, leaves, leaf_parts, at, mine.size(), out + mine.begin);
  }
  return absl::OkStatus();
}

void AddOverRanks(Context& ctx, int64_t leaves, const std::vector<Interval>& leaf_parts,
                  const std::vector<std::vector<float*>>& values, int64_t count, float* out) {
  std::vector<NodeValues> all;
  for (size_t rank = 0; rank < leaf_parts.size(); ++rank) {
    const std::vector<Interval> nodes = MaximalNodes(leaves, leaf_parts[rank]);
    for (size_t i = 0; i < nodes.size(); ++i) all.push_back({nodes[i], values[rank][i]});
  }
  float* const sum = AddNodes(ctx, leaves, all, count);
  if (sum == out) return;
  ctx.Run(Copy{.x = Tensor(sum, DType::kF32, {count}), .y = Tensor(out, DType::kF32, {count})});
}

}  // namespace ingot
