#include "core/training/host_state.h"

#include <cstring>
#include <utility>
#include <vector>

#include "core/base/status_macros.h"

namespace ingot {
namespace {

constexpr int64_t kFloat = sizeof(float);

// Rank 0 receives the parts of all ranks; each of them lies in its place of `whole`.
absl::Status GatherParts(Communicator& communicator, const ParallelPlan& plan, const Tensor& part, float* whole,
                         int64_t flat_size) {
  std::vector<Transfer> sends = {{0, part.ptr, Bytes(part)}}, receives;
  for (int64_t rank = 0; communicator.rank() == 0 && rank < plan.ranks; ++rank) {
    const Interval its = plan.UpdatedBy(rank, flat_size);
    receives.push_back({rank, whole + its.begin, its.size() * kFloat});
  }
  return communicator.Exchange(sends, receives);
}

}  // namespace

absl::StatusOr<WholeMoments> WholeMoments::Create(int64_t flat_size) {
  INGOT_ASSIGN_OR_RETURN(Arena memory, Arena::Create("moments of all ranks", 2 * Arena::Aligned(flat_size * kFloat)));
  WholeMoments whole = {.memory = std::move(memory), .m = {}, .v = {}};
  whole.m = whole.memory.Take("first moments", DType::kF32, {flat_size});
  whole.v = whole.memory.Take("second moments", DType::kF32, {flat_size});
  return whole;
}

absl::StatusOr<HostState> HostState::Create(Model& model, const Optimizer& optimizer, Communicator& communicator) {
  INGOT_ASSIGN_OR_RETURN(HostCopy parameters, HostCopy::Create(model.backend(), model.parameters()));
  INGOT_ASSIGN_OR_RETURN(HostCopy m, HostCopy::Create(model.backend(), optimizer.tensors().m));
  INGOT_ASSIGN_OR_RETURN(HostCopy v, HostCopy::Create(model.backend(), optimizer.tensors().v));
  HostState state(model, optimizer, communicator, std::move(parameters), std::move(m), std::move(v));
  if (communicator.rank() == 0 && !state.has_all_moments()) {
    INGOT_ASSIGN_OR_RETURN(state.whole_, WholeMoments::Create(model.table().flat_size));
  }
  return state;
}

int64_t HostState::Bytes(Device device, const ParameterTable& table, Interval part, int64_t rank) {
  const auto copy = [device](int64_t size) { return HostCopy::Bytes(device, Tensor(nullptr, DType::kF32, {size})); };
  const bool whole = rank == 0 && part.size() != table.flat_size;
  return copy(table.flat_size) + 2 * copy(part.size()) + (whole ? 2 * Arena::Aligned(table.flat_size * kFloat) : 0);
}

absl::StatusOr<std::optional<OptimizerTensors>> HostState::Collect(const ParallelPlan& plan) {
  const bool writes = communicator_->rank() == 0;
  if (has_all_moments() && !writes) return std::nullopt;
  if (writes) INGOT_RETURN_IF_ERROR(parameters_.Download());
  INGOT_RETURN_IF_ERROR(m_.Download());
  INGOT_RETURN_IF_ERROR(v_.Download());
  if (has_all_moments()) return OptimizerTensors{m_.tensor(), v_.tensor()};
  const int64_t flat_size = model_->table().flat_size;
  const auto gather = [&](const HostCopy& part, const Tensor& whole) {
    return GatherParts(*communicator_, plan, part.tensor(), whole.data<float>(), flat_size);
  };
  INGOT_RETURN_IF_ERROR(gather(m_, whole_.has_value() ? whole_->m : Tensor()));
  INGOT_RETURN_IF_ERROR(gather(v_, whole_.has_value() ? whole_->v : Tensor()));
  if (!writes) return std::nullopt;
  return OptimizerTensors{whole_->m, whole_->v};
}

absl::StatusOr<TrainingState> HostState::Load(
    const std::function<absl::StatusOr<TrainingState>(Tensor, OptimizerTensors)>& load) {
  OptimizerTensors moments = {m_.tensor(), v_.tensor()};
  std::optional<WholeMoments> whole;
  if (!has_all_moments()) {
    INGOT_ASSIGN_OR_RETURN(whole, WholeMoments::Create(model_->table().flat_size));
    moments = {whole->m, whole->v};
  }
  INGOT_ASSIGN_OR_RETURN(const TrainingState state, load(parameters_.tensor(), moments));
  const Interval part = optimizer_->part();
  for (const auto& [from, to] : {std::pair(moments.m, m_.tensor()), std::pair(moments.v, v_.tensor())}) {
    if (whole.has_value() && part.size() > 0) {
      std::memcpy(to.ptr, from.data<float>() + part.begin, static_cast<size_t>(part.size() * kFloat));
    }
  }
  INGOT_RETURN_IF_ERROR(parameters_.Upload());
  INGOT_RETURN_IF_ERROR(m_.Upload());
  INGOT_RETURN_IF_ERROR(v_.Upload());
  model_->RefreshWorkingParameters();
  return state;
}

}  // namespace ingot
