#include "core/training/lane_sums.h"

#include <algorithm>

#include "core/base/status_macros.h"
#include "kernels/add.h"

namespace ingot {
namespace {

constexpr int64_t kFloat = sizeof(float);

int64_t StackBuffers(const ParallelPlan& plan, int64_t rank) {
  return NodeStack::BuffersNeeded(plan.leaves, plan.LeavesOf(rank));
}

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

std::vector<MemoryEntry> LaneSums::Memory(const ParallelPlan& plan, int64_t rank, const ParameterTable& table,
                                          Device device) {
  std::vector<MemoryEntry> entries = WireRounding::Entries(plan);
  if (const int64_t buffers = StackBuffers(plan, rank); buffers > 0) {
    entries.push_back({"sums of gradients", buffers * Arena::Aligned(table.flat_size * kFloat)});
  }
  if (device != Device::kCpu) return entries;
  for (MemoryEntry& entry : ExchangeMemory::Entries(AllExchanges(plan, table), rank)) {
    entries.push_back(std::move(entry));
  }
  return entries;
}

LaneSums::LaneSums(const ParallelPlan& plan, Communicator& communicator, Model& model)
    : plan_(plan),
      communicator_(communicator),
      model_(model),
      leaves_(plan.LeavesOf(communicator.rank())),
      nodes_(MaximalNodes(plan.leaves, leaves_)),
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

absl::Status LaneSums::TakeMemory() {
  const auto& backend = model_.backend();
  const Tensor gradients = model_.gradients();
  const int64_t buffers = StackBuffers(plan_, communicator_.rank());
  if (buffers > 0) {
    INGOT_ASSIGN_OR_RETURN(stack_memory_,
                           backend->CreateArena("sums of gradients", buffers * Arena::Aligned(Bytes(gradients))));
  }
  for (int64_t i = 0; i < buffers; ++i) {
    stack_buffers_.push_back(stack_memory_->Take("sum of gradients", DType::kF32, {flat_size()}).data<float>());
  }
  INGOT_ASSIGN_OR_RETURN(rounding_, WireRounding::Create(plan_, backend));
  sum_ = gradients.data<float>();
  if (exchanges_.empty()) return absl::OkStatus();
  INGOT_ASSIGN_OR_RETURN(memory_, ExchangeMemory::Create(exchanges_, communicator_.rank()));
  if (backend->device() == Device::kCpu) return absl::OkStatus();
  for (size_t i = 0; i < nodes_.size(); ++i) {
    INGOT_ASSIGN_OR_RETURN(HostCopy copy, HostCopy::Create(backend, gradients));
    node_copies_.push_back(std::move(copy));
  }
  sum_ = node_copies_[0].tensor().data<float>();
  return absl::OkStatus();
}

void LaneSums::Begin() {
  status_ = absl::OkStatus();
  last_ = false;
  last_adds_.clear();
  complete_.assign(model_.windows().outside() + 1, false);
  const BufferOps ops = {
      .copy =
          [this](float* to, const float* from) {
            status_.Update(model_.backend()->Copy(View(to, 0, flat_size()), View(from, 0, flat_size())));
          },
      .add =
          [this](float* a, const float* b) {
            if (last_) return last_adds_.emplace_back(a, const_cast<float*>(b)), void();
            Context ctx = model_.backend()->MakeContext();
            ctx.Run(Add{.x = View(b, 0, flat_size()), .y = View(a, 0, flat_size())});
          }};
  stack_.emplace(plan_.leaves, leaves_, model_.gradients().data<float>(), stack_buffers_, ops);
  model_.ZeroGradients();
  if (plan_.MicroBatchesOf(leaves_).size() == 1) BeginLast();
}

// What becomes of the last leaf is known before it is computed; it is done layer by layer.
void LaneSums::BeginLast() {
  last_ = true;
  stack_->Push();
  sent_nodes_.clear();
  for (size_t i = 0; i < stack_->Nodes().size(); ++i) {
    const bool copied = !node_copies_.empty();
    sent_nodes_.push_back(copied ? node_copies_[i].tensor().data<float>() : stack_->Nodes()[i].values);
  }
}

absl::Status LaneSums::Done(int64_t micro) {
  if (last_) {
    // A model that does not tell of its layers has completed all of them now.
    for (int64_t unit = 0; unit < static_cast<int64_t>(complete_.size()); ++unit) Complete(unit);
    return status_;
  }
  if (plan_.EndsLeaf(micro)) {
    rounding_->Round(model_.gradients());
    stack_->Push();
    model_.ZeroGradients();
  }
  if (micro + 2 == plan_.MicroBatchesOf(leaves_).end) BeginLast();
  return status_;
}

void LaneSums::AfterBackward(int64_t l) {
  if (last_) Complete(l);
}

// This rank's nodes are complete for a unit: they are added and sent.
void LaneSums::Complete(int64_t unit) {
  if (complete_[unit]) return;
  complete_[unit] = true;
  Context ctx = model_.backend()->MakeContext();
  for (const WindowPiece& piece : model_.windows().pieces(unit)) {
    const auto view = [&](const float* values) { return View(values, piece.begin, piece.size()); };
    rounding_->Round(view(model_.gradients().data<float>()));
    for (const auto& [a, b] : last_adds_) ctx.Run(Add{.x = view(b), .y = view(a)});
    for (size_t i = 0; i < node_copies_.size(); ++i) {
      const Tensor node = view(stack_->Nodes()[i].values);
      status_.Update(model_.backend()->CopyOut(sent_nodes_[i] + piece.begin, node));
    }
  }
  if (exchanges_.empty()) return;
  for (const BucketExchange& bucket : exchanges_[unit]) {
    queue_.Submit([this, &bucket] { return Reduce(bucket); });
  }
}

// On the queue.
absl::Status LaneSums::Reduce(const BucketExchange& bucket) {
  const PartExchange& exchange = bucket.exchange;
  INGOT_RETURN_IF_ERROR(exchange.Run(communicator_, sent_nodes_, memory_->received, memory_->staged));
  const int64_t rank = communicator_.rank();
  for (size_t part = 0; part < exchange.parts[rank].size(); ++part) {
    const Interval mine = exchange.parts[rank][part];
    const std::vector<std::vector<float*>> at = exchange.At(rank, part, sent_nodes_, memory_->received);
    AddOverRanks(plan_.leaves, leaf_parts_, at, mine.size(), sum_ + mine.begin);
  }
  return absl::OkStatus();
}

absl::Status LaneSums::Sum() {
  INGOT_RETURN_IF_ERROR(queue_.WaitForAll());
  if (exchanges_.empty()) return absl::OkStatus();  // the one node is the sum, and lies in the gradients
  if (plan_.zero == 0) {
    std::vector<Interval> bytes;
    for (const Interval& shard : SummedShards(plan_, flat_size())) {
      bytes.push_back({shard.begin * kFloat, shard.end * kFloat});
    }
    INGOT_RETURN_IF_ERROR(communicator_.AllGather(sum_, bytes));
  }
  if (node_copies_.empty()) return absl::OkStatus();
  const Interval mine = plan_.UpdatedBy(communicator_.rank(), flat_size());
  return model_.backend()->CopyIn(Slice(model_.gradients(), mine.begin, {mine.size()}), sum_ + mine.begin);
}

}  // namespace ingot
