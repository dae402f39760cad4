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
#include "core/training/gradient_sums.h"
#include "distributed/exchange_queue.h"
#include "distributed/round_sums.h"

namespace ingot {

class ShardedModel : public GradientSums {
 public:
  // Memory that Create() will take: all of it on the CPU, what lies on the device otherwise.
  static std::vector<MemoryEntry> Memory(const ParallelPlan& plan, int64_t rank, const ParameterTable& table,
                                         Device device);
  // `plan` is one in rounds and the model's shape has its shard; `communicator` and `model` must outlive it.
  static absl::StatusOr<std::unique_ptr<ShardedModel>> Create(const ParallelPlan& plan, Communicator& communicator,
                                                              Model& model);
  ~ShardedModel() override;

  // Collective, as is the model's Evaluate() at stage 3.
  void Begin() override;
  absl::Status Done(int64_t micro) override;
  absl::Status Sum() override;
  void WaitForExchanges() override { queue_.WaitForAll().IgnoreError(); }
  // Collective, stage 3: the shards were written; what stands outside the layers is gathered again.
  absl::Status GatherOutside();

  void BeforeForward(int64_t l, int64_t next) override;
  void BeforeBackward(int64_t l, int64_t next) override;
  void AfterBackward(int64_t l) override;
  absl::Status status() const override { return status_; }

 private:
  // A buffer of windows, on the device and where the communicator reads and writes it.
  struct Windows {
    Tensor device;
    HostCopy host;
  };
  // A slot of the windows.
  struct Slot {
    int64_t layer = -1;     // whose weights it has or will have
    uint64_t gathered = 0;  // by this job of the queue
    bool on_device = false;
    uint64_t reduced = 0;  // the last job that reads its gradients
  };

  ShardedModel(const ParallelPlan& plan, Communicator& communicator, Model& model);
  absl::Status TakeMemory();
  bool on_cpu() const { return model_.backend()->device() == Device::kCpu; }
  Slot& SlotOf(int64_t unit) { return slots_[unit == model_.windows().outside() ? 2 : unit % 2]; }

  void NeedWeights(int64_t l, int64_t next);
  void StartGather(int64_t unit);
  absl::Status FinishGather(int64_t unit);
  absl::Status Gather(int64_t unit);
  absl::Status Reduce(const BucketExchange& bucket, int64_t round);
  void ZeroGradients(int64_t unit);

  const ParallelPlan plan_;
  Communicator& communicator_;
  Model& model_;
  std::vector<Interval> shards_;  // by rank
  UnitExchanges exchanges_;
  const RoundSums sums_;
  std::optional<HostCopy> shard_;  // stage 3: of the working parameters
  std::optional<Windows> weights_, gradients_;
  std::optional<HostCopy> gradient_shard_;
  std::optional<WireRounding> rounding_;
  std::optional<ExchangeMemory> memory_;
  std::optional<Arena> sum_memory_;  // on the host: sums that wait
  std::vector<float*> sum_buffers_;
  Slot slots_[3];  // even layers, odd layers, outside
  int64_t round_ = 0;
  absl::Status status_;
  ExchangeQueue queue_;  // last: its jobs use all of the above
};

}  // namespace ingot
