#pragma once
// ShardedModel: ZeRO stages 2 and 3. Each rank keeps a shard of the gradients, and from stage 3 on of the parameters;
// while the model computes, this brings each layer's weights a layer ahead and takes its gradients to their owners, on a
// thread of its own.
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/model.h"
#include "core/training/exchange_thread.h"
#include "core/training/gradient_sums.h"
#include "distributed/round_sums.h"

namespace ingot {

class ShardedModel : public GradientSums {
 public:
  // Memory of the model's device that Create() will take.
  static std::vector<MemoryEntry> Memory(const ParallelPlan& plan, int64_t rank, const ParameterTable& table);
  // `plan` is one in rounds and the model's shape has its shard; `communicator` and `model` must outlive it.
  static absl::StatusOr<std::unique_ptr<ShardedModel>> Create(const ParallelPlan& plan, Communicator& communicator,
                                                              Model& model);
  ~ShardedModel() override;

  // Collective, as is the model's Evaluate() at stage 3.
  void Begin() override;
  absl::Status Done(int64_t micro) override;
  absl::Status Sum() override;
  void WaitForExchanges() override { thread_->WaitForAll().IgnoreError(); }
  // Collective, stage 3: the shards were written; what stands outside the layers is gathered again.
  absl::Status GatherOutside();

  void BeforeForward(int64_t l, int64_t next) override;
  void BeforeBackward(int64_t l, int64_t next) override;
  void AfterBackward(int64_t l) override;
  absl::Status status() const override { return status_; }

 private:
  // A slot of the windows.
  struct Slot {
    int64_t layer = -1;     // whose weights it has or will have
    uint64_t gathered = 0;  // by this job of the thread
    uint64_t reduced = 0;   // the last job that reads its gradients
  };

  ShardedModel(const ParallelPlan& plan, Communicator& communicator, Model& model);
  absl::Status TakeMemory();
  Slot& SlotOf(int64_t unit) { return slots_[unit == model_.windows().outside() ? 2 : unit % 2]; }

  void NeedWeights(int64_t l, int64_t next);
  void StartGather(int64_t unit);
  absl::Status Gather(Context& ctx, int64_t unit);
  absl::Status Reduce(Context& ctx, const BucketExchange& bucket, int64_t round);
  void ZeroGradients(int64_t unit);

  const ParallelPlan plan_;
  Communicator& communicator_;
  Model& model_;
  std::vector<Interval> shards_;  // by rank
  UnitExchanges exchanges_;
  const RoundSums sums_;
  std::optional<WireRounding> rounding_;
  std::optional<ExchangeMemory> memory_;
  std::optional<Arena> sum_memory_;  // sums that wait
  std::vector<float*> sum_buffers_;  // of this rank's shard; the first is the model's gradients
  Slot slots_[3];                    // even layers, odd layers, outside
  int64_t round_ = 0;
  absl::Status status_;
  std::unique_ptr<ExchangeThread> thread_;  // last: its jobs use all of the above
};

}  // namespace ingot
