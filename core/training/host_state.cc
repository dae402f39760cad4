#include "core/training/host_state.h"

#include <utility>

#include "core/base/status_macros.h"

namespace ingot {
namespace {

std::vector<FlatNeeds> AllNeeds(const ParameterTable& table, int64_t ranks, const CheckpointFormat& format) {
  const std::vector<CheckpointFile> files = CutCheckpoint(table, format);
  const std::vector<int64_t> writers = DealFiles(files, ranks);
  std::vector<FlatNeeds> needs;
  for (int64_t rank = 0; rank < ranks; ++rank) needs.push_back(NeedsOf(rank, files, writers, format));
  return needs;
}

// Whether the ranks have parts of the parameters (kind 0) or moments.
bool IsSpread(const ParallelPlan& plan, size_t kind) { return plan.ranks > 1 && plan.zero >= (kind == 0 ? 3 : 1); }

// Whether what is needed is copied into memory of its own: what others own of it, and on the CPU what training changes
// while it is written. On CUDA the host has a copy already.
bool IsCopied(Device device, bool spread, bool background) { return spread || (background && device == Device::kCpu); }

int64_t MemoryBytes(const std::vector<Interval>& needed, DType dtype) {
  int64_t bytes = 0;
  for (const Interval range : needed) bytes += Arena::Aligned(range.size() * SizeOf(dtype));
  return bytes;
}

}  // namespace

int64_t HostState::Bytes(Device device, const ParameterTable& table, const ParallelPlan& plan, int64_t rank,
                         const Options& options) {
  const FlatNeeds needs = AllNeeds(table, plan.ranks, options.format)[rank];
  int64_t bytes = 0;
  for (size_t kind = 0; kind < 3; ++kind) {
    const DType dtype = kind == 0 ? DType::kF32 : options.format.moments;
    const std::vector<Interval>& needed = kind == 0 ? needs.parameters : needs.moments;
    const bool spread = IsSpread(plan, kind);
    if (IsCopied(device, spread, options.background)) bytes += MemoryBytes(needed, dtype);
    for (const Interval range : spread ? std::vector{plan.UpdatedBy(rank, table.flat_size)} : needed) {
      bytes += HostCopy::Bytes(device, Tensor(nullptr, dtype, {range.size()}));
    }
  }
  return bytes;
}

absl::StatusOr<HostState> HostState::Create(Model& model, const Optimizer& optimizer, Communicator& communicator,
                                            const ParallelPlan& plan, const Options& options) {
  HostState state(model, optimizer, communicator, plan);
  state.needs_ = AllNeeds(model.table(), plan.ranks, options.format);
  const Tensor live[] = {model.parameters(), optimizer.tensors().m, optimizer.tensors().v};
  for (size_t kind = 0; kind < state.flats_.size(); ++kind) {
    const bool spread = IsSpread(plan, kind);
    const bool copied = IsCopied(model.backend()->device(), spread, options.background);
    INGOT_ASSIGN_OR_RETURN(state.flats_[kind],
                           state.Prepare(live[kind], spread, state.Needs(communicator.rank(), kind), copied));
  }
  return state;
}

absl::StatusOr<HostState::Flat> HostState::Prepare(const Tensor& live, bool spread, std::vector<Interval> needed,
                                                   bool copied) const {
  Flat flat = {.spread = spread, .needed = std::move(needed), .sources = {}, .given = {}, .memory = {}, .held = {}};
  if (spread) {
    flat.given = {PartOf(communicator_->rank())};
    INGOT_ASSIGN_OR_RETURN(HostCopy mine, HostCopy::Create(model_->backend(), live));
    flat.sources.push_back(std::move(mine));
  } else {
    flat.given = flat.needed;
    for (const Interval range : flat.needed) {
      INGOT_ASSIGN_OR_RETURN(HostCopy mine,
                             HostCopy::Create(model_->backend(), Slice(live, range.begin, {range.size()})));
      flat.sources.push_back(std::move(mine));
    }
  }
  std::vector<FlatPart> parts;
  if (copied && !flat.needed.empty()) {
    INGOT_ASSIGN_OR_RETURN(flat.memory,
                           Arena::Create("checkpoint being written", MemoryBytes(flat.needed, live.dtype)));
  }
  for (size_t i = 0; i < flat.needed.size(); ++i) {
    const Interval range = flat.needed[i];
    parts.push_back({range, copied ? flat.memory->Take("copy", live.dtype, {range.size()}) : flat.sources[i].tensor()});
  }
  flat.held = FlatParts(live.dtype, std::move(parts));
  return flat;
}

// Between two ranks: by range that the receiver needs, in their order.
void HostState::AddTransfers(const Flat& flat, size_t kind, std::vector<Transfer>& sends,
                             std::vector<Transfer>& receives) const {
  const int64_t me = communicator_->rank(), bytes = SizeOf(flat.held.dtype());
  const auto to_held = [&](int64_t peer, Interval range) {
    if (range.size() > 0) receives.push_back({peer, flat.held.At(range), range.size() * bytes});
  };
  if (!flat.spread) {
    for (size_t i = 0; i < flat.given.size(); ++i) {
      sends.push_back({me, flat.sources[i].tensor().ptr, flat.given[i].size() * bytes});
      to_held(me, flat.needed[i]);
    }
    return;
  }
  const FlatPart mine(flat.given.front(), flat.sources.front().tensor());
  for (int64_t peer = 0; peer < plan_.ranks; ++peer) {
    for (const Interval needed : Needs(peer, kind)) {
      const Interval range = Intersection(needed, mine.range);
      if (range.size() > 0) sends.push_back({peer, mine.At(range.begin), range.size() * bytes});
    }
    for (const Interval needed : flat.needed) to_held(peer, Intersection(needed, PartOf(peer)));
  }
}

absl::StatusOr<HostState::Collected> HostState::Collect() {
  std::vector<Transfer> sends, receives;
  for (size_t kind = 0; kind < flats_.size(); ++kind) {
    for (const HostCopy& source : flats_[kind].sources) INGOT_RETURN_IF_ERROR(source.Download());
    if (flats_[kind].memory.has_value() || flats_[kind].spread) AddTransfers(flats_[kind], kind, sends, receives);
  }
  INGOT_RETURN_IF_ERROR(communicator_->Exchange(sends, receives));
  return Collected{flats_[0].held, {flats_[1].held, flats_[2].held}};
}

absl::StatusOr<TrainingState> HostState::Load(
    const std::function<absl::StatusOr<TrainingState>(const StateParts& into)>& load) {
  // Memory of its own only on CUDA, and only now.
  INGOT_ASSIGN_OR_RETURN(const HostCopy parameters, HostCopy::Create(model_->backend(), model_->parameters()));
  INGOT_ASSIGN_OR_RETURN(const HostCopy m, HostCopy::Create(model_->backend(), optimizer_->tensors().m));
  INGOT_ASSIGN_OR_RETURN(const HostCopy v, HostCopy::Create(model_->backend(), optimizer_->tensors().v));
  const Interval part = optimizer_->part();
  const Interval kept = IsSpread(plan_, 0) ? part : Interval{0, model_->table().flat_size};
  INGOT_ASSIGN_OR_RETURN(const TrainingState state, load({.parameters = FlatPart(kept, parameters.tensor()),
                                                          .m = FlatPart(part, m.tensor()),
                                                          .v = FlatPart(part, v.tensor())}));
  INGOT_RETURN_IF_ERROR(parameters.Upload());
  INGOT_RETURN_IF_ERROR(m.Upload());
  INGOT_RETURN_IF_ERROR(v.Upload());
  model_->RefreshWorkingParameters();
  return state;
}

}  // namespace ingot
