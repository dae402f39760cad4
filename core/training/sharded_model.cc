#include "core/training/sharded_model.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/status_macros.h"
#include "kernels/fill.h"

namespace ingot {
namespace {

constexpr int64_t kFloat = sizeof(float);
constexpr int64_t kMost = TreeReduceScatter::kPiece;  // elements of a rank in one exchange

std::vector<Interval> ShardsOf(const ParallelPlan& plan, int64_t flat_size) {
  std::vector<Interval> shards;
  for (int64_t rank = 0; rank < plan.ranks; ++rank) shards.push_back(plan.SummedBy(rank, flat_size));
  return shards;
}

std::vector<std::vector<Bucket>> AllBuckets(const FlatWindows& windows, const std::vector<Interval>& shards) {
  std::vector<std::vector<Bucket>> buckets;
  for (int64_t unit = 0; unit <= windows.outside(); ++unit) {
    buckets.push_back(BucketsOf(windows.pieces(unit), shards, kMost));
  }
  return buckets;
}

RoundSums SumsOf(const ParallelPlan& plan) { return RoundSums(plan.leaves, plan.ranks, plan.chained); }

// Elements that come from one other rank in one exchange.
int64_t MostReceived(const std::vector<std::vector<Bucket>>& buckets, int64_t rank) {
  int64_t most = 0;
  for (const std::vector<Bucket>& unit : buckets) {
    for (const Bucket& bucket : unit) most = std::max(most, SizeOf(bucket[rank]));
  }
  return most;
}

char* At(const Tensor& tensor, int64_t element) {
  return static_cast<char*>(tensor.ptr) + element * SizeOf(tensor.dtype);
}

}  // namespace

std::vector<MemoryEntry> ShardedModel::Memory(const ParallelPlan& plan, int64_t rank, const ParameterTable& table) {
  const std::vector<Interval> shards = ShardsOf(plan, table.flat_size);
  std::vector<MemoryEntry> entries;
  const auto add = [&](const char* name, int64_t count, int64_t elements) {
    if (count * elements > 0) entries.push_back({name, count * Arena::Aligned(elements * kFloat)});
  };
  add("sums of gradients", SumsOf(plan).buffers() - 1, shards[rank].size());
  add("gradients from other ranks", plan.ranks - 1, MostReceived(AllBuckets(FlatWindows(table), shards), rank));
  return entries;
}

absl::StatusOr<std::unique_ptr<ShardedModel>> ShardedModel::Create(const ParallelPlan& plan, Communicator& communicator,
                                                                   Model& model) {
  std::unique_ptr<ShardedModel> sharded(new ShardedModel(plan, communicator, model));
  INGOT_RETURN_IF_ERROR(sharded->TakeMemory());
  model.set_hooks(sharded.get());
  return sharded;
}

ShardedModel::ShardedModel(const ParallelPlan& plan, Communicator& communicator, Model& model)
    : plan_(plan),
      communicator_(communicator),
      model_(model),
      shards_(ShardsOf(plan, model.table().flat_size)),
      buckets_(AllBuckets(model.windows(), shards_)),
      sums_(SumsOf(plan)) {}

ShardedModel::~ShardedModel() { model_.set_hooks(nullptr); }

absl::Status ShardedModel::TakeMemory() {
  const auto& backend = model_.backend();
  int64_t bytes = 0;
  for (const MemoryEntry& entry : Memory(plan_, communicator_.rank(), model_.table())) bytes += entry.bytes;
  INGOT_ASSIGN_OR_RETURN(memory_, Arena::Create("sums of gradients", bytes));
  INGOT_ASSIGN_OR_RETURN(gradient_shard_, HostCopy::Create(backend, model_.gradients()));
  sum_buffers_ = {gradient_shard_->tensor().data<float>()};
  const int64_t shard = shards_[communicator_.rank()].size();
  while (static_cast<int64_t>(sum_buffers_.size()) < sums_.buffers()) {
    sum_buffers_.push_back(memory_->Take("sum of gradients", DType::kF32, {shard}).data<float>());
  }
  const int64_t received = (plan_.ranks - 1) * MostReceived(buckets_, communicator_.rank());
  received_ = memory_->Take("gradients from other ranks", DType::kF32, {received}).data<float>();
  const auto windows = [&](const Tensor& device) -> absl::StatusOr<Windows> {
    INGOT_ASSIGN_OR_RETURN(HostCopy host, HostCopy::Create(backend, device));
    return Windows{device, std::move(host)};
  };
  INGOT_ASSIGN_OR_RETURN(gradients_, windows(model_.gradient_windows()));
  if (plan_.zero < 3) return absl::OkStatus();
  INGOT_ASSIGN_OR_RETURN(shard_, HostCopy::Create(backend, model_.working_parameters()));
  INGOT_ASSIGN_OR_RETURN(weights_, windows(model_.parameter_windows()));
  return absl::OkStatus();
}

void ShardedModel::Begin() {
  round_ = 0;
  status_ = absl::OkStatus();
}

absl::Status ShardedModel::Sum() {
  INGOT_RETURN_IF_ERROR(queue_.WaitForAll());
  return gradient_shard_->Upload();
}

// Waits until what lies there has been sent.
void ShardedModel::ZeroGradients(int64_t unit) {
  status_.Update(queue_.Wait(SlotOf(unit).reduced));
  Context ctx = model_.backend()->MakeContext();
  for (const WindowPiece& piece : model_.windows().pieces(unit)) {
    ctx.Run(Fill{.y = Slice(gradients_->device, piece.place, {piece.size()}), .value = 0});
  }
}

void ShardedModel::BeforeForward(int64_t l, int64_t next) {
  NeedWeights(l, next);
  if (next < 0) ZeroGradients(model_.windows().outside());  // the head is the first to add to them
}

void ShardedModel::BeforeBackward(int64_t l, int64_t next) {
  NeedWeights(l, next);
  ZeroGradients(l);
}

void ShardedModel::AfterBackward(int64_t l) {
  for (const WindowPiece& piece : model_.windows().pieces(l)) {
    const Tensor part = Slice(gradients_->device, piece.place, {piece.size()});
    status_.Update(model_.backend()->CopyOut(At(gradients_->host.tensor(), piece.place), part));
  }
  for (const Bucket& bucket : buckets_[l]) {
    SlotOf(l).reduced = queue_.Submit([this, &bucket, round = round_] { return Reduce(bucket, round); });
  }
}

// On the queue: sends this rank's leaf of the round to the owners, and adds what comes to the sums of its shard.
absl::Status ShardedModel::Reduce(const Bucket& bucket, int64_t round) {
  const int64_t rank = communicator_.rank();
  const std::vector<WindowPiece>& mine = bucket[rank];
  std::vector<Transfer> sends, receives;
  float* from = received_;
  for (int64_t peer = 0; peer < plan_.ranks; ++peer) {
    if (peer == rank) continue;
    for (const WindowPiece& piece : bucket[peer]) {
      sends.push_back({peer, At(gradients_->host.tensor(), piece.place), piece.size() * kFloat});
    }
    for (const WindowPiece& piece : mine) {
      receives.push_back({peer, from, piece.size() * kFloat});
      from += piece.size();
    }
  }
  INGOT_RETURN_IF_ERROR(communicator_.Exchange(sends, receives));
  int64_t offset = 0;  // of a piece in what came from one rank
  for (const WindowPiece& piece : mine) {
    std::vector<float*> leaves, buffers;
    for (int64_t peer = 0, at = 0; peer < plan_.ranks; ++peer) {
      const bool own = peer == rank;
      float* const sent = received_ + at * SizeOf(mine) + offset;
      leaves.push_back(own ? gradients_->host.tensor().data<float>() + piece.place : sent);
      at += !own;
    }
    for (float* const buffer : sum_buffers_) buffers.push_back(buffer + piece.begin - shards_[rank].begin);
    RunSteps(sums_.steps(round), leaves, buffers, piece.size());
    offset += piece.size();
  }
  return absl::OkStatus();
}

absl::Status ShardedModel::GatherOutside() {
  if (plan_.zero < 3) return absl::OkStatus();
  INGOT_RETURN_IF_ERROR(shard_->Download());
  for (Slot& slot : slots_) slot.layer = -1;  // what they have is old
  const int64_t outside = model_.windows().outside();
  StartGather(outside);
  return FinishGather(outside);
}

void ShardedModel::NeedWeights(int64_t l, int64_t next) {
  if (plan_.zero < 3) return;
  if (SlotOf(l).layer != l) StartGather(l);
  status_.Update(FinishGather(l));
  if (next >= 0 && SlotOf(next).layer != next) StartGather(next);  // while l is computed
}

void ShardedModel::StartGather(int64_t unit) {
  Slot& slot = SlotOf(unit);
  slot.layer = unit;
  slot.on_device = on_cpu();
  slot.gathered = queue_.Submit([this, unit] { return Gather(unit); });
}

absl::Status ShardedModel::FinishGather(int64_t unit) {
  Slot& slot = SlotOf(unit);
  INGOT_RETURN_IF_ERROR(queue_.Wait(slot.gathered));
  if (std::exchange(slot.on_device, true)) return absl::OkStatus();
  for (const WindowPiece& piece : model_.windows().pieces(unit)) {
    INGOT_RETURN_IF_ERROR(model_.backend()->CopyIn(Slice(weights_->device, piece.place, {piece.size()}),
                                                   At(weights_->host.tensor(), piece.place)));
  }
  return absl::OkStatus();
}

// On the queue: all ranks' parts of a unit's weights into this rank's window.
absl::Status ShardedModel::Gather(int64_t unit) {
  const int64_t rank = communicator_.rank(), element = SizeOf(shard_->tensor().dtype);
  const Tensor& window = weights_->host.tensor();
  const std::vector<WindowPiece>& pieces = model_.windows().pieces(unit);
  std::vector<Transfer> sends, receives;
  for (int64_t peer = 0; peer < plan_.ranks; ++peer) {
    for (const WindowPiece& piece : Within(pieces, shards_[rank])) {
      sends.push_back({peer, At(shard_->tensor(), piece.begin - shards_[rank].begin), piece.size() * element});
    }
    for (const WindowPiece& piece : Within(pieces, shards_[peer])) {
      receives.push_back({peer, At(window, piece.place), piece.size() * element});
    }
  }
  return communicator_.Exchange(sends, receives);
}

}  // namespace ingot
