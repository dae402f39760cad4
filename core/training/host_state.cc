#include "core/training/host_state.h"

#include "core/base/status_macros.h"

namespace ingot {

absl::StatusOr<HostState> HostState::Create(const Model& model, const Optimizer& optimizer) {
  INGOT_ASSIGN_OR_RETURN(HostCopy parameters, HostCopy::Create(model.backend(), model.parameters()));
  INGOT_ASSIGN_OR_RETURN(HostCopy moment1, HostCopy::Create(model.backend(), optimizer.tensors().m));
  INGOT_ASSIGN_OR_RETURN(HostCopy moment2, HostCopy::Create(model.backend(), optimizer.tensors().v));
  return HostState{std::move(parameters), std::move(moment1), std::move(moment2)};
}

int64_t HostState::Bytes(Device device, const ParameterTable& table) {
  return 3 * HostCopy::Bytes(device, Tensor(nullptr, DType::kF32, {table.flat_size}));
}

absl::Status HostState::Download() const {
  INGOT_RETURN_IF_ERROR(parameters.Download());
  INGOT_RETURN_IF_ERROR(moment1.Download());
  return moment2.Download();
}

absl::Status HostState::UploadTo(Model& model) const {
  INGOT_RETURN_IF_ERROR(parameters.Upload());
  INGOT_RETURN_IF_ERROR(moment1.Upload());
  INGOT_RETURN_IF_ERROR(moment2.Upload());
  model.RefreshWorkingParameters();
  return absl::OkStatus();
}

}  // namespace ingot
