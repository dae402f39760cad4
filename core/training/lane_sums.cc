#include "core/training/lane_sums.h"

#include <algorithm>

#include "core/base/status_macros.h"
#include "kernels/add.h"
#include "kernels/fill.h"

namespace ingot {
namespace {

constexpr int64_t kFloat = sizeof(float);

PartSums SumsOf(const ParallelPlan& plan, int64_t rank) { return PartSums::Of(plan.leaves, plan.LeavesOf(rank)); }

// Leaves are rounded where the wire is bf16, sums of them are not.
std::vector<std::vector<PartExchange::Wire>> BuffersOf(const ParallelPlan& plan) {
  std::vector<std::vector<PartExchange::Wire>> buffers(plan.ranks);
  for (int64_t rank = 0; rank < plan.ranks; ++rank) {
    for (const Interval& node : MaximalNodes(plan.leaves, plan.LeavesOf(rank))) {
      const bool narrow = plan.wire == DType::kBf16 && node.size() == 1;
      buffers[rank].push_back(narrow ? PartExchange::Wire::kBf16 : PartExchange::Wire::kF32);
    }
  }
  return buffers;
}

UnitExchanges AllExchanges(const ParallelPlan& plan, const ParameterTable& table) {
  if (plan.ranks == 1) return {};
  return ExchangesOf(FlatWindows(table), SummedShards(plan, table.flat_size), BuffersOf(plan), /*in_place=*/true);
}

}  // namespace

std::vector<MemoryEntry> LaneSums::Memory(const ParallelPlan& plan, int64_t rank, const ParameterTable& table) {
  std::vector<MemoryEntry> entries = WireRounding::Entries(plan);
  if (const int64_t more = SumsOf(plan, rank).buffers - 1; more > 0) {
    entries.push_back({"sums of gradients", more * Arena::Aligned(table.flat_size * kFloat)});
  }
  for (MemoryEntry& entry : ExchangeMemory::Entries(AllExchanges(plan, table), rank)) {
    entries.push_back(std::move(entry));
  }
  return entries;
}

LaneSums::LaneSums(const ParallelPlan& plan, Communicator& communicator, Model& model)
    : plan_(plan),
      communicator_(communicator),
      model_(model),
      sums_(SumsOf(plan, communicator.rank())),
      exchanges_(AllExchanges(plan, model.table())) {
  for (int64_t rank = 0; rank < plan.ranks; ++rank) leaf_parts_.push_back(plan.LeavesOf(rank));
}

absl::StatusOr<std::unique_ptr<LaneSums>> LaneSums::Create(const ParallelPlan& plan, Communicator& communicator,
                                                           Model& model) {
  std::unique_ptr<LaneSums> sums(new LaneSums(plan, communicator, model));
  INGOT_RETURN_IF_ERROR(sums->TakeMemory());
  if (!model.shape().cuda_graph) model.set_hooks(sums.get());  // else Done() finds all layers complete
  return sums;
}

LaneSums::~LaneSums() {
  model_.set_hooks(nullptr);
  model_.AddGradientsTo(model_.gradients());
}

absl::Status LaneSums::TakeMemory() {
  const auto& backend = model_.backend();
  const Tensor gradients = model_.gradients();
  buffers_ = {gradients};
  if (const int64_t more = sums_.buffers - 1; more > 0) {
    INGOT_ASSIGN_OR_RETURN(buffer_memory_,
                           backend->CreateArena("sums of gradients", more * Arena::Aligned(Bytes(gradients))));
  }
  while (static_cast<int64_t>(buffers_.size()) < sums_.buffers) {
    buffers_.push_back(buffer_memory_->Take("sum of gradients", DType::kF32, {flat_size()}));
    INGOT_RETURN_IF_ERROR(backend->FillZero(buffers_.back()));
  }
  INGOT_ASSIGN_OR_RETURN(rounding_, WireRounding::Create(plan_, backend));
  INGOT_ASSIGN_OR_RETURN(thread_, ExchangeThread::Create(backend));
  for (const PartSums::Node& node : sums_.nodes) nodes_.push_back(buffers_[node.buffer].data<float>());
  if (exchanges_.empty()) return absl::OkStatus();
  INGOT_ASSIGN_OR_RETURN(memory_, ExchangeMemory::Create(exchanges_, communicator_.rank(), *backend));
  return absl::OkStatus();
}

void LaneSums::Begin() {
  status_ = absl::OkStatus();
  Context ctx = model_.backend()->MakeContext();
  for (const PartSums::Node& node : sums_.nodes) ctx.Run(Fill{.y = buffers_[node.buffer], .value = 0});
  leaf_ = 0;
  BeginLeaf();
  ends_leaf_ = plan_.EndsLeaf(plan_.DealOf(communicator_.rank()).first);
}

void LaneSums::BeginLeaf() {
  complete_.assign(model_.windows().outside() + 1, false);
  model_.AddGradientsTo(buffers_[leaf().buffer]);
}

absl::Status LaneSums::Done(int64_t micro) {
  if (ends_leaf_) {
    // A model that does not tell of its layers has completed all of them now.
    for (int64_t unit = 0; unit < static_cast<int64_t>(complete_.size()); ++unit) Complete(unit);
    if (last_leaf()) return status_;
    ++leaf_;
    BeginLeaf();
  }
  ends_leaf_ = plan_.EndsLeaf(micro + 1);
  return status_;
}

void LaneSums::AfterBackward(int64_t l) {
  if (ends_leaf_) Complete(l);
}

// A unit of the leaf is complete: it is added to what waits for it, here, where much of it is still in a cache.
void LaneSums::Complete(int64_t unit) {
  if (complete_[unit]) return;
  complete_[unit] = true;
  Context ctx = model_.backend()->MakeContext();
  for (const WindowPiece& piece : model_.windows().pieces(unit)) {
    rounding_->Round(PieceOf(leaf().buffer, piece));
    for (const PartSums::Addition& add : leaf().adds) {
      ctx.Run(AddAndClear{.x = PieceOf(add.from, piece), .y = PieceOf(add.to, piece)});
    }
  }
  if (last_leaf() && !exchanges_.empty()) Send(unit);
}

// This rank's nodes are complete for a unit.
void LaneSums::Send(int64_t unit) {
  for (const BucketExchange& bucket : exchanges_[unit]) {
    thread_->Submit([this, &bucket](Context& ctx) { return Reduce(ctx, bucket); });
  }
}

// On the thread.
absl::Status LaneSums::Reduce(Context& ctx, const BucketExchange& bucket) {
  const PartExchange& exchange = bucket.exchange;
  INGOT_RETURN_IF_ERROR(exchange.Run(communicator_, ctx, nodes_, memory_->received, memory_->narrow));
  const int64_t rank = communicator_.rank();
  float* const sum = model_.gradients().data<float>();
  for (size_t part = 0; part < exchange.parts[rank].size(); ++part) {
    const Interval mine = exchange.parts[rank][part];
    const std::vector<std::vector<float*>> at = exchange.At(rank, part, nodes_, memory_->received);
    AddOverRanks(ctx, plan_.leaves, leaf_parts_, at, mine.size(), sum + mine.begin);
  }
  return absl::OkStatus();
}

absl::Status LaneSums::Sum() {
  INGOT_RETURN_IF_ERROR(thread_->WaitForAll());
  if (exchanges_.empty() || plan_.zero > 0) return absl::OkStatus();  // this rank's shard of the gradients is the sum
  std::vector<Interval> bytes;
  for (const Interval& shard : SummedShards(plan_, flat_size())) {
    bytes.push_back({shard.begin * kFloat, shard.end * kFloat});
  }
  return communicator_.AllGather(model_.gradients().ptr, bytes, model_.backend()->MakeContext());
}

}  // namespace ingot
