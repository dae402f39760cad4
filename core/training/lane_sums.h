#pragma once
// LaneSums: ZeRO stages 0 and 1. A rank adds its micro-batches in whole buffers, and sends the nodes of the tree that it
// has while the backward of its last micro-batch runs: layer by layer, on a thread of its own.
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/training/gradient_sums.h"
#include "distributed/exchange_queue.h"

namespace ingot {

class LaneSums : public GradientSums {
 public:
  // Memory that Create() will take: all of it on the CPU, what lies on the device otherwise.
  static std::vector<MemoryEntry> Memory(const ParallelPlan& plan, int64_t rank, const ParameterTable& table,
                                         Device device);
  // `plan` is one without rounds; `communicator` and `model` must outlive it.
  static absl::StatusOr<std::unique_ptr<LaneSums>> Create(const ParallelPlan& plan, Communicator& communicator,
                                                          Model& model);
  ~LaneSums() override { model_.set_hooks(nullptr); }

  void Begin() override;
  absl::Status Done(int64_t micro) override;
  absl::Status Sum() override;
  void WaitForExchanges() override { queue_.WaitForAll().IgnoreError(); }

  void BeforeForward(int64_t, int64_t) override {}
  void BeforeBackward(int64_t, int64_t) override {}
  void AfterBackward(int64_t l) override;
  absl::Status status() const override { return status_; }

 private:
  LaneSums(const ParallelPlan& plan, Communicator& communicator, Model& model);
  absl::Status TakeMemory();
  int64_t flat_size() const { return model_.table().flat_size; }
  Tensor View(const float* values, int64_t begin, int64_t size) const {
    return {const_cast<float*>(values) + begin, DType::kF32, {size}};
  }
  void BeginLast();
  void Complete(int64_t unit);
  absl::Status Reduce(const BucketExchange& bucket);

  const ParallelPlan plan_;
  Communicator& communicator_;
  Model& model_;
  const Interval leaves_;              // this rank's
  const std::vector<Interval> nodes_;  // of them
  std::vector<Interval> leaf_parts_;   // by rank
  UnitExchanges exchanges_;            // none for one rank
  std::optional<Arena> stack_memory_;  // on the device: sums of leaves that wait for the next one
  std::vector<float*> stack_buffers_;
  std::optional<ExchangeMemory> memory_;
  std::optional<WireRounding> rounding_;
  std::vector<HostCopy> node_copies_;  // on the host, by node, where the device has memory of its own
  std::vector<float*> sent_nodes_;     // what the communicator sends: on the host
  float* sum_ = nullptr;               // on the host
  // Of a step:
  std::optional<NodeStack> stack_;
  bool last_ = false;                                 // the last micro-batch is computed
  std::vector<std::pair<float*, float*>> last_adds_;  // a += b that make the nodes of it
  std::vector<bool> complete_;                        // by unit
  absl::Status status_;
  ExchangeQueue queue_;  // last: its jobs use all of the above
};

}  // namespace ingot
