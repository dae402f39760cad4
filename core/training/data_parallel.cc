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
#include "kernels/gradient_norm.h"

namespace ingot {
namespace {

constexpr int64_t kFloat = sizeof(float);

// The same bits for the same parameters: of the hashes of their blocks, on the host, a portion after the other.
absl::StatusOr<uint64_t> HashOf(const Backend& backend, const Tensor& values) {
  constexpr int64_t kBlock = GradientNorm::kBlock, kPortion = 16 * kBlock;
  std::vector<float> portion(std::min(kPortion, Count(values)));
  std::vector<uint64_t> hashes;
  for (int64_t begin = 0; begin < Count(values); begin += kPortion) {
    const int64_t size = std::min(kPortion, Count(values) - begin), blocks = (size + kBlock - 1) / kBlock;
    INGOT_RETURN_IF_ERROR(backend.CopyOut(portion.data(), Slice(values, begin, {size})));
    hashes.resize(hashes.size() + blocks);
    uint64_t* const of_portion = hashes.data() + hashes.size() - blocks;
    ParallelFor(blocks, 0, [&](int64_t block) {
      const int64_t bytes = std::min(kBlock, size - block * kBlock) * kFloat;
      const char* const first = reinterpret_cast<const char*>(portion.data() + block * kBlock);
      of_portion[block] = HashBytes({first, static_cast<size_t>(bytes)});
    });
  }
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

std::vector<MemoryEntry> DataParallel::Memory(const ParallelPlan& plan, int64_t rank, const ParameterTable& table) {
  return plan.in_rounds() ? ShardedModel::Memory(plan, rank, table) : LaneSums::Memory(plan, rank, table);
}

absl::StatusOr<std::unique_ptr<DataParallel>> DataParallel::Create(const ParallelPlan& plan, Communicator& communicator,
                                                                   Model& model) {
  std::unique_ptr<DataParallel> parallel(new DataParallel(plan, communicator, model));
  INGOT_RETURN_IF_ERROR(parallel->TakeMemory());
  return parallel;
}

absl::Status DataParallel::TakeMemory() {
  if (!plan_.in_rounds()) {
    INGOT_ASSIGN_OR_RETURN(sums_, LaneSums::Create(plan_, communicator_, model_));
    return absl::OkStatus();
  }
  INGOT_ASSIGN_OR_RETURN(std::unique_ptr<ShardedModel> sharded, ShardedModel::Create(plan_, communicator_, model_));
  sharded_ = sharded.get();
  sums_ = std::move(sharded);
  return absl::OkStatus();
}

std::vector<Interval> DataParallel::UpdatedBytes() const {
  std::vector<Interval> bytes;
  for (const Interval& part : SummedShards(plan_, flat_size()))
    bytes.push_back({part.begin * kFloat, part.end * kFloat});
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
  const Context here = model_.backend()->MakeContext();
  INGOT_RETURN_IF_ERROR(communicator_.AllGather(model_.parameters().ptr, UpdatedBytes(), here));
  model_.RefreshWorkingParameters();
  return absl::OkStatus();
}

absl::Status DataParallel::CheckAgreement() {
  if (plan_.zero >= 3 || alone()) return absl::OkStatus();
  std::vector<uint64_t> hashes(plan_.ranks);
  std::vector<Interval> parts;
  for (int64_t rank = 0; rank < plan_.ranks; ++rank) {
    parts.push_back({rank * int64_t{sizeof(uint64_t)}, (rank + 1) * int64_t{sizeof(uint64_t)}});
  }
  INGOT_ASSIGN_OR_RETURN(hashes[rank()], HashOf(*model_.backend(), model_.parameters()));
  INGOT_RETURN_IF_ERROR(communicator_.AllGather(hashes.data(), parts));
  return Disagreement(hashes);
}

}  // namespace ingot
