#pragma once
// HostState: weights and moments as checkpoints read and write them, in host memory.
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/arena.h"
#include "core/model/backend.h"
#include "core/model/model.h"
#include "core/training/checkpoint.h"
#include "core/training/data_parallel.h"
#include "core/training/optimizer.h"
#include "distributed/communicator.h"

namespace ingot {

// Whole flat buffers, where a rank itself has only its part of them.
struct WholeState {
  // parameters: those too, not the moments alone.
  static absl::StatusOr<WholeState> Create(int64_t flat_size, bool parameters, DType moments);
  static int64_t Bytes(int64_t flat_size, bool parameters, DType moments);
  Arena memory;
  Tensor m, v, parameters;  // (flat_size); parameters f32
};

class HostState {
 public:
  // `model`, `optimizer` and `communicator` must outlive it. Errors: host memory that the system does not have (none is
  // taken by one rank on the CPU).
  static absl::StatusOr<HostState> Create(Model& model, const Optimizer& optimizer, Communicator& communicator);
  // Bytes of host memory that Create() takes for `shard` of the moments, and of the parameters if it says so.
  static int64_t Bytes(Device device, const ParameterTable& table, const ModelShard& shard, int64_t rank,
                       DType moments);

  // Collective: what rank 0 writes, weights and all moments; the other ranks get nothing to write.
  struct Collected {
    Tensor parameters;
    OptimizerTensors moments;
  };
  absl::StatusOr<std::optional<Collected>> Collect(const ParallelPlan& plan);
  // Reads weights and moments by `load`, and takes this rank's part to the device, working parameters included. Takes
  // memory for all of what this rank has a part of while it reads.
  absl::StatusOr<TrainingState> Load(
      const std::function<absl::StatusOr<TrainingState>(Tensor parameters, OptimizerTensors moments)>& load);

 private:
  HostState(Model& model, const Optimizer& optimizer, Communicator& communicator, HostCopy parameters, HostCopy m,
            HostCopy v)
      : model_(&model),
        optimizer_(&optimizer),
        communicator_(&communicator),
        parameters_(std::move(parameters)),
        m_(std::move(m)),
        v_(std::move(v)) {}

  bool has_all_moments() const { return optimizer_->part().size() == model_->table().flat_size; }
  bool has_all_parameters() const { return !model_->shape().shard.parameters; }

  Model* model_;
  const Optimizer* optimizer_;
  Communicator* communicator_;
  HostCopy parameters_, m_, v_;      // what this rank keeps
  std::optional<WholeState> whole_;  // rank 0, if it has only a part
};

}  // namespace ingot
