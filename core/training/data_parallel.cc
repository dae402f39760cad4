#include "core/training/data_parallel.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/threads.h"
#include "data_pipeline/hash.h"
#include "distributed/control.h"
#include "distributed/exit_codes.h"
#include "kernels/add.h"
#include "kernels/gradient_norm.h"

namespace ingot {
namespace {

constexpr int64_t kFloat = sizeof(float);

TreeReduceScatter ReductionOf(const ParallelPlan& plan, int64_t flat_size) {
  TreeReduceScatter reduction = {.leaves = plan.leaves, .leaf_parts = {}, .shards = {}};
  for (int64_t rank = 0; rank < plan.ranks; ++rank) {
    reduction.leaf_parts.push_back(plan.LeavesOf(rank));
    reduction.shards.push_back(plan.SummedBy(rank, flat_size));
  }
  return reduction;
}

int64_t SlotBytes(const ParallelPlan& plan, int64_t rank, int64_t flat_size) {
  return ReductionOf(plan, flat_size).SlotElements(rank) * kFloat;
}

int64_t StackBuffers(const ParallelPlan& plan, int64_t rank) {
  return NodeStack::BuffersNeeded(plan.leaves, plan.LeavesOf(rank));
}

// The same bits for the same parameters.
uint64_t HashOf(const float* values, int64_t count) {
  constexpr int64_t kBlock = GradientNorm::kBlock;
  std::vector<uint64_t> hashes((count + kBlock - 1) / kBlock);
  ParallelFor(static_cast<int64_t>(hashes.size()), 0, [&](int64_t block) {
    const int64_t elements = std::min(kBlock, count - block * kBlock);
    hashes[block] = HashBytes({reinterpret_cast<const char*>(values + block * kBlock), size_t(elements * kFloat)});
  });
  return HashBytes({reinterpret_cast<const char*>(hashes.data()), hashes.size() * sizeof(uint64_t)});
}

absl::Status Disagreement(const std::vector<uint64_t>& hashes) {
  std::map<uint64_t, int64_t> votes;
  for (const uint64_t hash : hashes) ++votes[hash];
  if (votes.size() == 1) return absl::OkStatus();
  const auto fewer = [](const auto& a, const auto& b) { return a.second < b.second; };
  const auto [winner, most] = *std::max_element(votes.begin(), votes.end(), fewer);
  std::vector<int64_t> odd;
  for (size_t rank = 0; rank < hashes.size(); ++rank) {
    if (hashes[rank] != winner) odd.push_back(static_cast<int64_t>(rank));
  }
  const bool majority = 2 * most > static_cast<int64_t>(hashes.size());
  return WithExitCode(
      absl::DataLossError(absl::StrCat(
          "the ranks' parameters differ: ",
          majority ? absl::StrCat("expected those of ", most, " ranks, found others on rank ", RankList(odd))
                   : absl::StrCat("no majority among ", hashes.size(), " ranks has the same"),
          "; memory or a processor is faulty there. Start again, on other machines, from the last checkpoint")),
      ExitCode::kRanksDisagree);
}

}  // namespace

std::vector<MemoryEntry> DataParallel::Memory(const ParallelPlan& plan, int64_t rank, const ParameterTable& table,
                                              Device device) {
  if (plan.in_rounds()) return ShardedModel::Memory(plan, rank, table);
  std::vector<MemoryEntry> entries;
  const auto add = [&](const char* name, int64_t bytes) {
    if (bytes > 0) entries.push_back({name, Arena::Aligned(bytes)});
  };
  add("sums of gradients", StackBuffers(plan, rank) * Arena::Aligned(table.flat_size * kFloat));
  if (device == Device::kCpu) add("gradients from other ranks", SlotBytes(plan, rank, table.flat_size));
  return entries;
}

absl::StatusOr<std::unique_ptr<DataParallel>> DataParallel::Create(const ParallelPlan& plan, Communicator& communicator,
                                                                   Model& model) {
  std::unique_ptr<DataParallel> parallel(new DataParallel(plan, communicator, model));
  INGOT_RETURN_IF_ERROR(parallel->TakeMemory());
  return parallel;
}

absl::Status DataParallel::TakeMemory() {
  const auto& backend = model_.backend();
  if (plan_.zero < 3 && !alone()) {
    INGOT_ASSIGN_OR_RETURN(parameters_, HostCopy::Create(backend, model_.parameters()));
  }
  if (plan_.in_rounds()) {
    INGOT_ASSIGN_OR_RETURN(sharded_, ShardedModel::Create(plan_, communicator_, model_));
    return absl::OkStatus();
  }
  const Tensor gradients = model_.gradients();
  const int64_t buffers = StackBuffers(plan_, rank());
  if (buffers > 0) {
    INGOT_ASSIGN_OR_RETURN(stack_memory_,
                           backend->CreateArena("sums of gradients", buffers * Arena::Aligned(Bytes(gradients))));
  }
  for (int64_t i = 0; i < buffers; ++i) {
    stack_buffers_.push_back(stack_memory_->Take("sum of gradients", DType::kF32, {flat_size()}).data<float>());
  }
  if (alone()) return absl::OkStatus();
  const int64_t slots = std::max(SlotBytes(plan_, rank(), flat_size()), kFloat);
  INGOT_ASSIGN_OR_RETURN(slot_memory_, Arena::Create("gradients from other ranks", slots));
  for (size_t i = 0; backend->device() != Device::kCpu && i < nodes_.size(); ++i) {
    INGOT_ASSIGN_OR_RETURN(HostCopy copy, HostCopy::Create(backend, gradients));
    node_copies_.push_back(std::move(copy));
  }
  return absl::OkStatus();
}

void DataParallel::Begin() {
  if (sharded_ != nullptr) return sharded_->Begin();
  device_status_ = absl::OkStatus();
  const auto view = [this](const float* values) {
    return Tensor(const_cast<float*>(values), DType::kF32, {flat_size()});
  };
  const BufferOps ops = {
      .copy = [this, view](float* to,
                           const float* from) { device_status_.Update(model_.backend()->Copy(view(to), view(from))); },
      .add =
          [this, view](float* a, const float* b) {
            Context ctx = model_.backend()->MakeContext();
            ctx.Run(Add{.x = view(b), .y = view(a)});
          }};
  stack_.emplace(plan_.leaves, leaves_, model_.gradients().data<float>(), stack_buffers_, ops);
  model_.ZeroGradients();
}

absl::Status DataParallel::Done(int64_t micro) {
  if (sharded_ != nullptr) {
    sharded_->Done();
    return absl::OkStatus();
  }
  if (!plan_.EndsLeaf(micro)) return absl::OkStatus();
  stack_->Push();
  if (micro + 1 < plan_.MicroBatchesOf(leaves_).end) model_.ZeroGradients();
  return device_status_;
}

// The values of the stack's nodes where the communicator can send them from.
absl::StatusOr<std::vector<NodeValues>> DataParallel::NodesOnHost() {
  std::vector<NodeValues> nodes = stack_->Nodes();
  for (size_t i = 0; i < node_copies_.size(); ++i) {
    float* const host = node_copies_[i].tensor().data<float>();
    INGOT_RETURN_IF_ERROR(model_.backend()->CopyOut(host, Tensor(nodes[i].values, DType::kF32, {flat_size()})));
    nodes[i].values = host;
  }
  return nodes;
}

absl::Status DataParallel::Sum() {
  if (alone()) return absl::OkStatus();  // the one node is the sum, and lies in the gradients
  if (sharded_ != nullptr) return sharded_->Sum();
  INGOT_ASSIGN_OR_RETURN(const std::vector<NodeValues> nodes, NodesOnHost());
  const Tensor gradients = model_.gradients();
  float* const sum = node_copies_.empty() ? gradients.data<float>() : node_copies_[0].tensor().data<float>();
  auto* const slots = static_cast<float*>(slot_memory_->At(0, slot_memory_->bytes()));
  INGOT_RETURN_IF_ERROR(ReductionOf(plan_, flat_size()).Run(communicator_, nodes, slots, sum));
  if (plan_.zero == 0) INGOT_RETURN_IF_ERROR(communicator_.AllGather(sum, SummedBytes()));
  if (node_copies_.empty()) return absl::OkStatus();
  const Interval mine = updated();
  return model_.backend()->CopyIn(Slice(gradients, mine.begin, {mine.size()}), sum + mine.begin);
}

std::vector<Interval> DataParallel::SummedBytes() const {
  std::vector<Interval> bytes;
  for (int64_t rank = 0; rank < plan_.ranks; ++rank) {
    const Interval part = plan_.SummedBy(rank, flat_size());
    bytes.push_back({part.begin * kFloat, part.end * kFloat});
  }
  return bytes;
}

// On the wire: for each rank stop signal, targets, nats of its micro-batches, sums of its blocks, as doubles.
absl::StatusOr<StepNumbers> DataParallel::Gather(const StepNumbers& mine) {
  constexpr int64_t kDouble = sizeof(double), kHead = 2;
  if (alone()) return mine;
  std::vector<Interval> parts;
  std::vector<int64_t> micros, blocks;  // by rank: their number
  for (int64_t rank = 0, begin = 0; rank < plan_.ranks; ++rank) {
    micros.push_back(plan_.DealOf(rank).count);
    blocks.push_back(plan_.zero == 0 ? 0 : plan_.SummedBy(rank, flat_size()).size() / GradientNorm::kBlock);
    parts.push_back({begin, begin + (kHead + micros.back() + blocks.back()) * kDouble});
    begin = parts.back().end;
  }
  std::vector<double> all(parts.back().end / kDouble);
  double* const own = all.data() + parts[rank()].begin / kDouble;
  own[0] = static_cast<double>(mine.stop_signal);
  own[1] = static_cast<double>(mine.targets);
  std::copy(mine.nats.begin(), mine.nats.end(), own + kHead);
  if (plan_.zero != 0) std::copy(mine.block_sums.begin(), mine.block_sums.end(), own + kHead + mine.nats.size());
  INGOT_RETURN_IF_ERROR(communicator_.AllGather(all.data(), parts));
  StepNumbers sum;
  sum.nats.resize(plan_.micro_batches);
  for (int64_t rank = 0; rank < plan_.ranks; ++rank) {
    const double* const its = all.data() + parts[rank].begin / kDouble;
    sum.stop_signal = std::max(sum.stop_signal, static_cast<int64_t>(its[0]));
    sum.targets += static_cast<int64_t>(its[1]);
    const ParallelPlan::Deal deal = plan_.DealOf(rank);
    for (int64_t i = 0; i < deal.count; ++i) sum.nats[deal.MicroBatch(i)] = its[kHead + i];
    sum.block_sums.insert(sum.block_sums.end(), its + kHead + micros[rank], its + kHead + micros[rank] + blocks[rank]);
  }
  if (plan_.zero == 0) sum.block_sums = mine.block_sums;  // of everything, the same on all ranks
  return sum;
}

absl::Status DataParallel::ShareParameters() {
  if (alone() || plan_.zero == 0) return absl::OkStatus();
  if (plan_.zero >= 3) return sharded_->GatherOutside();
  float* const host = parameters_->tensor().data<float>();
  const Interval mine = updated();
  INGOT_RETURN_IF_ERROR(
      model_.backend()->CopyOut(host + mine.begin, Slice(model_.parameters(), mine.begin, {mine.size()})));
  INGOT_RETURN_IF_ERROR(communicator_.AllGather(host, SummedBytes()));
  INGOT_RETURN_IF_ERROR(parameters_->Upload());
  model_.RefreshWorkingParameters();
  return absl::OkStatus();
}

absl::Status DataParallel::CheckAgreement() {
  if (!parameters_.has_value()) return absl::OkStatus();
  INGOT_RETURN_IF_ERROR(parameters_->Download());
  std::vector<uint64_t> hashes(plan_.ranks);
  std::vector<Interval> parts;
  for (int64_t rank = 0; rank < plan_.ranks; ++rank) {
    parts.push_back({rank * int64_t{sizeof(uint64_t)}, (rank + 1) * int64_t{sizeof(uint64_t)}});
  }
  hashes[rank()] = HashOf(parameters_->tensor().data<float>(), flat_size());
  INGOT_RETURN_IF_ERROR(communicator_.AllGather(hashes.data(), parts));
  return Disagreement(hashes);
}

}  // namespace ingot
