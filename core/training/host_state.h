#pragma once
// HostState: weights and moments as checkpoints read and write them, in host memory.
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/model/backend.h"
#include "core/model/model.h"
#include "core/training/checkpoint.h"
#include "core/training/optimizer.h"

namespace ingot {

struct HostState {
  // Errors: host memory that the system does not have (none is taken on the CPU).
  static absl::StatusOr<HostState> Create(const Model& model, const Optimizer& optimizer);
  // Bytes of host memory that Create() takes.
  static int64_t Bytes(Device device, const ParameterTable& table);

  OptimizerTensors moments() const { return {moment1.tensor(), moment2.tensor()}; }
  absl::Status Download() const;              // from the device
  absl::Status UploadTo(Model& model) const;  // to the device, working parameters included

  HostCopy parameters, moment1, moment2;
};

}  // namespace ingot
