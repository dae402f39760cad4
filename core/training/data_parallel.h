#pragma once
// DataParallel: makes one gradient of what all ranks compute, and one model of what they update. The order in which
// gradients are added is that of ParallelPlan: with a plan that does not know the number of ranks, every number of ranks
// gets the same bits. One rank goes the same way.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/model.h"
#include "core/training/lane_sums.h"
#include "core/training/parallel_plan.h"
#include "core/training/sharded_model.h"
#include "distributed/communicator.h"

namespace ingot {

// What the ranks tell each other in each step, and what all of them decide by.
struct StepNumbers {
  int64_t stop_signal = 0;         // asked to stop by this signal; 0: not
  int64_t targets = 0;             // tokens predicted
  std::vector<double> nats;        // by micro-batch
  std::vector<double> block_sums;  // of squares of the gradient, by block of GradientNorm::kBlock
};

class DataParallel {
 public:
  // Memory of the model's device that Create() will take.
  static std::vector<MemoryEntry> Memory(const ParallelPlan& plan, int64_t rank, const ParameterTable& table);
  // `model` and `communicator` must outlive it. Errors: memory that the device or the host does not have.
  static absl::StatusOr<std::unique_ptr<DataParallel>> Create(const ParallelPlan& plan, Communicator& communicator,
                                                              Model& model);

  const ParallelPlan& plan() const { return plan_; }
  // What this rank computes of a step.
  ParallelPlan::Deal deal() const { return plan_.DealOf(rank()); }
  // Of the flat buffers: what this rank updates.
  Interval updated() const { return plan_.UpdatedBy(rank(), flat_size()); }

  // A step: Begin(); for each own micro-batch Model::Accumulate() and Done(micro); Sum(). Then the gradients of
  // updated() are the sum over all micro-batches.
  void Begin() { sums_->Begin(); }
  absl::Status Done(int64_t micro) { return sums_->Done(micro); }
  absl::Status Sum() { return sums_->Sum(); }  // collective

  // Collective: `mine` holds this rank's share, the result that of all ranks.
  absl::StatusOr<StepNumbers> Gather(const StepNumbers& mine);
  // Collective: after an update of updated() all ranks have all parameters that they keep.
  absl::Status ShareParameters();
  // Collective: the parameters that this rank keeps were drawn or loaded.
  absl::Status TakeParameters() { return sharded_ == nullptr ? absl::OkStatus() : sharded_->GatherOutside(); }
  // Before the communicator is used or left by others, after an error too: nothing of a step is under way.
  void WaitForExchanges() { sums_->WaitForExchanges(); }
  // Collective: an error (exit code 76) that names the odd ranks unless all ranks have the same parameters. Stage 3 has
  // nothing to compare: no parameter is kept twice.
  absl::Status CheckAgreement();

 private:
  DataParallel(const ParallelPlan& plan, Communicator& communicator, Model& model)
      : plan_(plan), communicator_(communicator), model_(model) {}

  int64_t rank() const { return communicator_.rank(); }
  int64_t flat_size() const { return model_.table().flat_size; }
  bool alone() const { return plan_.ranks == 1; }
  absl::Status TakeMemory();
  // By rank: the bytes of what it updates.
  std::vector<Interval> UpdatedBytes() const;

  const ParallelPlan plan_;
  Communicator& communicator_;
  Model& model_;
  std::unique_ptr<GradientSums> sums_;
  ShardedModel* sharded_ = nullptr;  // sums_, in rounds
};

}  // namespace ingot
