#include "core/training/host_state.h"

#include <cstring>
#include <utility>
#include <vector>

#include "core/base/status_macros.h"

namespace ingot {
namespace {

// Rank 0 receives the parts of all ranks; each of them lies in its place of `whole`.
absl::Status GatherParts(Communicator& communicator, const ParallelPlan& plan, const Tensor& part, char* whole,
                         int64_t flat_size) {
  std::vector<Transfer> sends = {{0, part.ptr, ingot::Bytes(part)}}, receives;
  for (int64_t rank = 0; communicator.rank() == 0 && rank < plan.ranks; ++rank) {
    const Interval its = plan.UpdatedBy(rank, flat_size);
    receives.push_back({rank, whole + its.begin * SizeOf(part.dtype), its.size() * SizeOf(part.dtype)});
  }
  return communicator.Exchange(sends, receives);
}

}  // namespace

int64_t WholeState::Bytes(int64_t flat_size, bool parameters, DType moments) {
  return 2 * Arena::Aligned(flat_size * SizeOf(moments)) +
         (parameters ? Arena::Aligned(flat_size * SizeOf(DType::kF32)) : 0);
}

absl::StatusOr<WholeState> WholeState::Create(int64_t flat_size, bool parameters, DType moments) {
  INGOT_ASSIGN_OR_RETURN(Arena memory, Arena::Create("state of all ranks", Bytes(flat_size, parameters, moments)));
  WholeState whole = {.memory = std::move(memory), .m = {}, .v = {}, .parameters = {}};
  whole.m = whole.memory.Take("first moments", moments, {flat_size});
  whole.v = whole.memory.Take("second moments", moments, {flat_size});
  if (parameters) whole.parameters = whole.memory.Take("parameters", DType::kF32, {flat_size});
  return whole;
}

absl::StatusOr<HostState> HostState::Create(Model& model, const Optimizer& optimizer, Communicator& communicator) {
  INGOT_ASSIGN_OR_RETURN(HostCopy parameters, HostCopy::Create(model.backend(), model.parameters()));
  INGOT_ASSIGN_OR_RETURN(HostCopy m, HostCopy::Create(model.backend(), optimizer.tensors().m));
  INGOT_ASSIGN_OR_RETURN(HostCopy v, HostCopy::Create(model.backend(), optimizer.tensors().v));
  HostState state(model, optimizer, communicator, std::move(parameters), std::move(m), std::move(v));
  if (communicator.rank() == 0 && !state.has_all_moments()) {
    const DType moments = optimizer.settings().moments;
    INGOT_ASSIGN_OR_RETURN(state.whole_,
                           WholeState::Create(model.table().flat_size, !state.has_all_parameters(), moments));
  }
  return state;
}

int64_t HostState::Bytes(Device device, const ParameterTable& table, const ModelShard& shard, int64_t rank,
                         DType moments) {
  const auto copy = [device](int64_t size, DType dtype) {
    return HostCopy::Bytes(device, Tensor(nullptr, dtype, {size}));
  };
  const bool whole = rank == 0 && shard.size() != table.flat_size;
  return copy(shard.parameters ? shard.size() : table.flat_size, DType::kF32) + 2 * copy(shard.size(), moments) +
         (whole ? WholeState::Bytes(table.flat_size, shard.parameters, moments) : 0);
}

absl::StatusOr<std::optional<HostState::Collected>> HostState::Collect(const ParallelPlan& plan) {
  const bool writes = communicator_->rank() == 0;
  if (has_all_moments() && !writes) return std::nullopt;
  if (writes || !has_all_parameters()) INGOT_RETURN_IF_ERROR(parameters_.Download());
  INGOT_RETURN_IF_ERROR(m_.Download());
  INGOT_RETURN_IF_ERROR(v_.Download());
  Collected all = {parameters_.tensor(), {m_.tensor(), v_.tensor()}};
  const auto gather = [&](const HostCopy& part, Tensor& whole, Tensor WholeState::*member) {
    whole = whole_.has_value() ? (*whole_).*member : Tensor();
    return GatherParts(*communicator_, plan, part.tensor(), static_cast<char*>(whole.ptr), model_->table().flat_size);
  };
  if (!has_all_moments()) {
    INGOT_RETURN_IF_ERROR(gather(m_, all.moments.m, &WholeState::m));
    INGOT_RETURN_IF_ERROR(gather(v_, all.moments.v, &WholeState::v));
  }
  if (!has_all_parameters()) INGOT_RETURN_IF_ERROR(gather(parameters_, all.parameters, &WholeState::parameters));
  if (!writes) return std::nullopt;
  return all;
}

absl::StatusOr<TrainingState> HostState::Load(
    const std::function<absl::StatusOr<TrainingState>(Tensor, OptimizerTensors)>& load) {
  Collected all = {parameters_.tensor(), {m_.tensor(), v_.tensor()}};
  std::optional<WholeState> whole;
  if (!has_all_moments()) {
    INGOT_ASSIGN_OR_RETURN(
        whole, WholeState::Create(model_->table().flat_size, !has_all_parameters(), optimizer_->settings().moments));
    all.moments = {whole->m, whole->v};
    if (!has_all_parameters()) all.parameters = whole->parameters;
  }
  INGOT_ASSIGN_OR_RETURN(const TrainingState state, load(all.parameters, all.moments));
  const Interval part = optimizer_->part();
  const std::pair<Tensor, Tensor> copies[] = {
      {all.moments.m, m_.tensor()}, {all.moments.v, v_.tensor()}, {all.parameters, parameters_.tensor()}};
  for (const auto& [from, to] : copies) {
    if (from.ptr == to.ptr || part.size() == 0) continue;
    std::memcpy(to.ptr, Slice(from, part.begin, {part.size()}).ptr, static_cast<size_t>(ingot::Bytes(to)));
  }
  INGOT_RETURN_IF_ERROR(parameters_.Upload());
  INGOT_RETURN_IF_ERROR(m_.Upload());
  INGOT_RETURN_IF_ERROR(v_.Upload());
  model_->RefreshWorkingParameters();
  return state;
}

}  // namespace ingot
