#include "distributed/communicator.h"

#include <algorithm>
#include <cstring>

#include "core/base/check.h"
#include "core/base/status_macros.h"

namespace ingot {
namespace {

class OneRank : public Communicator {
 public:
  OneRank() : Communicator(0, 1) {}

 protected:
  absl::Status ExchangeWithOthers(absl::Span<const Transfer>, absl::Span<const Transfer>) override {
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

absl::Status Communicator::Exchange(absl::Span<const Transfer> sends, absl::Span<const Transfer> receives) {
  ++exchanges_;
  const std::vector<Transfer> from = Only(sends, rank_), to = Only(receives, rank_);
  INGOT_CHECK(from.size() == to.size(), "%zu messages to oneself, %zu from", from.size(), to.size());
  for (size_t i = 0; i < from.size(); ++i) {
    INGOT_CHECK(from[i].bytes == to[i].bytes, "a message to oneself of another size");
    if (from[i].data != to[i].data) std::memcpy(to[i].data, from[i].data, static_cast<size_t>(from[i].bytes));
  }
  const std::vector<Transfer> out = Without(sends, rank_), in = Without(receives, rank_);
  if (observer_) observer_(exchanges_, BytesOf(out) + BytesOf(in), FlightState::kEntered);
  const absl::Status status = ExchangeWithOthers(out, in);
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

absl::Status Communicator::AllGather(void* data, const std::vector<Interval>& parts) {
  std::vector<Transfer> sends, receives;
  char* const bytes = static_cast<char*>(data);
  for (int64_t step = 1; step < size_; ++step) {  // each rank begins with another peer
    const int64_t to = (rank_ + step) % size_, from = (rank_ + size_ - step) % size_;
    sends.push_back({to, bytes + parts[rank_].begin, parts[rank_].size()});
    receives.push_back({from, bytes + parts[from].begin, parts[from].size()});
  }
  return Exchange(sends, receives);
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

absl::Status TreeReduceScatter::Run(Communicator& communicator, const std::vector<NodeValues>& nodes, float* slots,
                                    float* out) const {
  const int64_t rank = communicator.rank(), size = communicator.size();
  int64_t pieces = 0;
  for (const Interval& shard : shards) pieces = std::max(pieces, (shard.size() + kPiece - 1) / kPiece);
  for (int64_t piece = 0; piece < pieces; ++piece) {
    const Interval mine = PieceOf(shards[rank], piece);
    const auto bytes = [](int64_t elements) { return elements * static_cast<int64_t>(sizeof(float)); };
    std::vector<Transfer> sends, receives;
    std::vector<NodeValues> all;
    float* slot = slots;
    for (int64_t peer = 0; peer < size; ++peer) {
      const Interval theirs = PieceOf(shards[peer], piece);
      if (peer == rank) {
        for (const NodeValues& node : nodes) all.push_back({node.node, node.values + mine.begin});
        continue;
      }
      for (const NodeValues& node : nodes) sends.push_back({peer, node.values + theirs.begin, bytes(theirs.size())});
      for (const Interval& node : MaximalNodes(leaves, leaf_parts[peer])) {
        receives.push_back({peer, slot, bytes(mine.size())});
        all.push_back({node, slot});
        slot += mine.size();
      }
    }
    INGOT_RETURN_IF_ERROR(communicator.Exchange(sends, receives));
    if (mine.size() == 0) continue;
    const float* const sum = AddNodes(leaves, all, mine.size());
    if (sum != out + mine.begin) std::memcpy(out + mine.begin, sum, static_cast<size_t>(bytes(mine.size())));
  }
  return absl::OkStatus();
}

}  // namespace ingot
