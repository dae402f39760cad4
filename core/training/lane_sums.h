#pragma once
// LaneSums: ZeRO stages 0 and 1. A rank adds its micro-batches in whole buffers, layer by layer as the backward of a lane's
// last micro-batch completes them. While that of its last lane runs, the nodes of the tree that it has are sent on a thread
// of its own.
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/training/exchange_thread.h"
#include "core/training/gradient_sums.h"

namespace ingot {

class LaneSums : public GradientSums {
 public:
  // Memory of the model's device that Create() will take.
  static std::vector<MemoryEntry> Memory(const ParallelPlan& plan, int64_t rank, const ParameterTable& table);
  // `plan` is one without rounds; `communicator` and `model` must outlive it.
  static absl::StatusOr<std::unique_ptr<LaneSums>> Create(const ParallelPlan& plan, Communicator& communicator,
                                                          Model& model);
  ~LaneSums() override;

  void Begin() override;
  absl::Status Done(int64_t micro) override;
  absl::Status Sum() override;
  void WaitForExchanges() override { thread_->WaitForAll().IgnoreError(); }

  void BeforeForward(int64_t, int64_t) override {}
  void BeforeBackward(int64_t, int64_t) override {}
  void AfterBackward(int64_t l) override;
  absl::Status status() const override { return status_; }

 private:
  LaneSums(const ParallelPlan& plan, Communicator& communicator, Model& model);
  absl::Status TakeMemory();
  int64_t flat_size() const { return model_.table().flat_size; }
  Tensor PieceOf(int64_t buffer, const WindowPiece& piece) const {
    return Slice(buffers_[buffer], piece.begin, {piece.size()});
  }
  // Of this rank's leaf that is computed now.
  const PartSums::Leaf& leaf() const { return sums_.leaves[leaf_]; }
  bool last_leaf() const { return leaf_ + 1 == static_cast<int64_t>(sums_.leaves.size()); }
  void BeginLeaf();
  void Complete(int64_t unit);
  void Send(int64_t unit);
  absl::Status Reduce(Context& ctx, const BucketExchange& bucket);

  const ParallelPlan plan_;
  Communicator& communicator_;
  Model& model_;
  const PartSums sums_;               // of this rank's leaves
  std::vector<Interval> leaf_parts_;  // by rank
  UnitExchanges exchanges_;           // none for one rank
  std::optional<Arena> buffer_memory_;
  std::vector<Tensor> buffers_;  // of sums_; the first is the model's gradients. Free ones are zero
  std::optional<ExchangeMemory> memory_;
  std::optional<WireRounding> rounding_;
  std::vector<float*> nodes_;  // buffers of sums_.nodes
  // Of a step:
  int64_t leaf_ = 0;            // of sums_
  bool ends_leaf_ = false;      // the micro-batch that is computed now is the last of its leaf
  std::vector<bool> complete_;  // by unit, of the leaf
  absl::Status status_;
  std::unique_ptr<ExchangeThread> thread_;  // last: its jobs use all of the above
};

}  // namespace ingot
