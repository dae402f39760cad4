#pragma once
// HostState: weights and moments as checkpoints write and read them, in host memory. For a save each rank has only what
// its files need (core/training/checkpoint_layout.h); what other ranks own of it comes in one exchange.
#include <array>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/arena.h"
#include "core/model/backend.h"
#include "core/model/model.h"
#include "core/training/checkpoint.h"
#include "core/training/optimizer.h"
#include "core/training/parallel_plan.h"
#include "distributed/communicator.h"

namespace ingot {

class HostState {
 public:
  struct Options {
    CheckpointFormat format;
    bool background = true;  // training goes on while what was collected is written
  };
  // `model`, `optimizer` and `communicator` must outlive it. Errors: host memory that the system does not have.
  static absl::StatusOr<HostState> Create(Model& model, const Optimizer& optimizer, Communicator& communicator,
                                          const ParallelPlan& plan, const Options& options);
  // Bytes of host memory that Create() takes at a rank.
  static int64_t Bytes(Device device, const ParameterTable& table, const ParallelPlan& plan, int64_t rank,
                       const Options& options);

  struct Collected {
    FlatParts parameters;
    CheckpointContents::Moments moments;
  };
  // Collective: what this rank's files need, as it is now. It stays so until the next call, or without `background`
  // until the model is trained on.
  absl::StatusOr<Collected> Collect();

  // `load` reads what this rank keeps of weights and moments; that goes to the device, working parameters included.
  absl::StatusOr<TrainingState> Load(const std::function<absl::StatusOr<TrainingState>(const StateParts& into)>& load);

 private:
  // One of the flat buffers, on its way into files.
  struct Flat {
    bool spread = false;            // each rank has its part; else all have everything
    std::vector<Interval> needed;   // by this rank's files
    std::vector<HostCopy> sources;  // what this rank gives: its part, or what is needed
    std::vector<Interval> given;    // the elements of the sources
    std::optional<Arena> memory;    // of `held`, where it is no source
    FlatParts held;                 // what is needed
  };

  HostState(Model& model, const Optimizer& optimizer, Communicator& communicator, const ParallelPlan& plan)
      : model_(&model), optimizer_(&optimizer), communicator_(&communicator), plan_(plan) {}
  absl::StatusOr<Flat> Prepare(const Tensor& live, bool spread, std::vector<Interval> needed, bool copied) const;
  void AddTransfers(const Flat& flat, size_t kind, std::vector<Transfer>& sends, std::vector<Transfer>& receives) const;
  const std::vector<Interval>& Needs(int64_t rank, size_t kind) const {
    return kind == 0 ? needs_[rank].parameters : needs_[rank].moments;
  }
  Interval PartOf(int64_t rank) const { return plan_.UpdatedBy(rank, model_->table().flat_size); }

  Model* model_;
  const Optimizer* optimizer_;
  Communicator* communicator_;
  ParallelPlan plan_;
  std::vector<FlatNeeds> needs_;  // by rank
  std::array<Flat, 3> flats_;     // parameters, first and second moments
};

}  // namespace ingot
