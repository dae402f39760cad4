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

// Whole flat buffers of both moments, where a rank itself has only its part of them.
struct WholeMoments {
  static absl::StatusOr<WholeMoments> Create(int64_t flat_size);
  Arena memory;
  Tensor m, v;  // (flat_size) f32
};

class HostState {
 public:
  // `model`, `optimizer` and `communicator` must outlive it. Errors: host memory that the system does not have (none is
  // taken by one rank on the CPU).
  static absl::StatusOr<HostState> Create(Model& model, const Optimizer& optimizer, Communicator& communicator);
  // Bytes of host memory that Create() takes for `part` of the moments.
  static int64_t Bytes(Device device, const ParameterTable& table, Interval part, int64_t rank);

  // Collective: what rank 0 writes, weights and all moments; the other ranks get nothing to write.
  absl::StatusOr<std::optional<OptimizerTensors>> Collect(const ParallelPlan& plan);
  // Reads weights and moments by `load`, and takes this rank's part to the device, working parameters included. Takes
  // memory for all moments while it reads.
  absl::StatusOr<TrainingState> Load(
      const std::function<absl::StatusOr<TrainingState>(Tensor parameters, OptimizerTensors moments)>& load);

  Tensor parameters() const { return parameters_.tensor(); }

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

  Model* model_;
  const Optimizer* optimizer_;
  Communicator* communicator_;
  HostCopy parameters_, m_, v_;        // the moments of this rank's part
  std::optional<WholeMoments> whole_;  // rank 0, if it has only a part
};

}  // namespace ingot
