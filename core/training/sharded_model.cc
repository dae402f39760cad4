#include "core/training/sharded_model.h"

#include <algorithm>

#include "core/base/status_macros.h"
#include "kernels/fill.h"

namespace ingot {
namespace {

constexpr int64_t kFloat = sizeof(float);

RoundSums SumsOf(const ParallelPlan& plan) { return RoundSums(plan.leaves, plan.ranks, plan.chained); }

UnitExchanges AllExchanges(const ParallelPlan& plan, const ParameterTable& table) {
  const bool narrow = plan.wire == DType::kBf16;
  const std::vector<PartExchange::Wire> leaf = {narrow ? PartExchange::Wire::kBf16 : PartExchange::Wire::kF32};
  return ExchangesOf(FlatWindows(table), SummedShards(plan, table.flat_size), {static_cast<size_t>(plan.ranks), leaf},
                     /*in_place=*/false);
}

int64_t WaitingBytes(const ParallelPlan& plan, int64_t rank, int64_t flat_size) {
  return (SumsOf(plan).buffers() - 1) * Arena::Aligned(plan.SummedBy(rank, flat_size).size() * kFloat);
}

char* At(const Tensor& tensor, int64_t element) {
  return static_cast<char*>(tensor.ptr) + element * SizeOf(tensor.dtype);
}

}  // namespace

std::vector<MemoryEntry> ShardedModel::Memory(const ParallelPlan& plan, int64_t rank, const ParameterTable& table) {
  std::vector<MemoryEntry> entries = WireRounding::Entries(plan);
  if (const int64_t bytes = WaitingBytes(plan, rank, table.flat_size); bytes > 0) {
    entries.push_back({"sums of gradients", bytes});
  }
  for (MemoryEntry& entry : ExchangeMemory::Entries(AllExchanges(plan, table), rank)) {
    entries.push_back(std::move(entry));
  }
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
      shards_(SummedShards(plan, model.table().flat_size)),
      exchanges_(AllExchanges(plan, model.table())),
      sums_(SumsOf(plan)) {}

ShardedModel::~ShardedModel() { model_.set_hooks(nullptr); }

absl::Status ShardedModel::TakeMemory() {
  const auto& backend = model_.backend();
  const int64_t rank = communicator_.rank();
  INGOT_ASSIGN_OR_RETURN(thread_, ExchangeThread::Create(backend));
  INGOT_ASSIGN_OR_RETURN(rounding_, WireRounding::Create(plan_, backend));
  INGOT_ASSIGN_OR_RETURN(memory_, ExchangeMemory::Create(exchanges_, rank, *backend));
  INGOT_RETURN_IF_ERROR(backend->FillZero(model_.gradients()));  // what lies between parameters stays so
  sum_buffers_ = {model_.gradients().data<float>()};
  if (const int64_t bytes = WaitingBytes(plan_, rank, model_.table().flat_size); bytes > 0) {
    INGOT_ASSIGN_OR_RETURN(sum_memory_, backend->CreateArena("sums of gradients", bytes));
  }
  while (static_cast<int64_t>(sum_buffers_.size()) < sums_.buffers()) {
    sum_buffers_.push_back(sum_memory_->Take("sum of gradients", DType::kF32, {shards_[rank].size()}).data<float>());
  }
  return absl::OkStatus();
}

void ShardedModel::Begin() {
  round_ = 0;
  status_ = absl::OkStatus();
}

absl::Status ShardedModel::Done(int64_t) {
  ++round_;
  return status_;
}

absl::Status ShardedModel::Sum() { return thread_->WaitForAll(); }

// Waits until what lies there has been sent.
void ShardedModel::ZeroGradients(int64_t unit) {
  status_.Update(thread_->Wait(SlotOf(unit).reduced));
  Context ctx = model_.backend()->MakeContext();
  for (const WindowPiece& piece : model_.windows().pieces(unit)) {
    ctx.Run(Fill{.y = Slice(model_.gradient_windows(), piece.place, {piece.size()}), .value = 0});
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
    rounding_->Round(Slice(model_.gradient_windows(), piece.place, {piece.size()}));
  }
  for (const BucketExchange& bucket : exchanges_[l]) {
    SlotOf(l).reduced =
        thread_->Submit([this, &bucket, round = round_](Context& ctx) { return Reduce(ctx, bucket, round); });
  }
}

// On the thread: sends this rank's leaf of the round to the owners, and adds what comes to the sums of its shard.
absl::Status ShardedModel::Reduce(Context& ctx, const BucketExchange& bucket, int64_t round) {
  const int64_t rank = communicator_.rank();
  const std::vector<float*> own = {model_.gradient_windows().data<float>()};
  INGOT_RETURN_IF_ERROR(bucket.exchange.Run(communicator_, ctx, own, memory_->received, memory_->narrow));
  const std::vector<WindowPiece>& mine = bucket.bucket[rank];
  for (size_t part = 0; part < mine.size(); ++part) {
    std::vector<float*> leaves, buffers;
    for (const auto& its : bucket.exchange.At(rank, part, own, memory_->received)) leaves.push_back(its[0]);
    for (float* const buffer : sum_buffers_) buffers.push_back(buffer + mine[part].begin - shards_[rank].begin);
    RunSteps(ctx, sums_.steps(round), leaves, buffers, mine[part].size());
  }
  return absl::OkStatus();
}

absl::Status ShardedModel::GatherOutside() {
  if (plan_.zero < 3) return absl::OkStatus();
  for (Slot& slot : slots_) slot.layer = -1;  // what they have is old
  StartGather(model_.windows().outside());
  return thread_->WaitForAll();
}

void ShardedModel::NeedWeights(int64_t l, int64_t next) {
  if (plan_.zero < 3) return;
  if (SlotOf(l).layer != l) StartGather(l);
  status_.Update(thread_->Wait(SlotOf(l).gathered));
  if (next >= 0 && SlotOf(next).layer != next) StartGather(next);  // while l is computed
}

void ShardedModel::StartGather(int64_t unit) {
  Slot& slot = SlotOf(unit);
  slot.layer = unit;
  slot.gathered = thread_->Submit([this, unit](Context& ctx) { return Gather(ctx, unit); });
}

// On the thread: all ranks' parts of a unit's weights into this rank's window.
absl::Status ShardedModel::Gather(Context& ctx, int64_t unit) {
  const int64_t rank = communicator_.rank();
  const Tensor shard = model_.working_parameters(), window = model_.parameter_windows();
  const int64_t element = SizeOf(shard.dtype);
  const std::vector<WindowPiece>& pieces = model_.windows().pieces(unit);
  std::vector<Transfer> sends, receives;
  for (int64_t peer = 0; peer < plan_.ranks; ++peer) {
    for (const WindowPiece& piece : Within(pieces, shards_[rank])) {
      sends.push_back({peer, At(shard, piece.begin - shards_[rank].begin), piece.size() * element});
    }
    for (const WindowPiece& piece : Within(pieces, shards_[peer])) {
      receives.push_back({peer, At(window, piece.place), piece.size() * element});
    }
  }
  return communicator_.Exchange(sends, receives, ctx);
}

}  // namespace ingot
