#include "core/training/parallel_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/status_macros.h"
#include "kernels/gradient_norm.h"

namespace ingot {
namespace {

absl::Status CheckRounds(const RunConfig& config, int64_t M, int64_t ranks) {
  const ParallelConfig& parallel = config.parallel();
  if (config.training().cuda_graph()) {
    return absl::FailedPreconditionError(
        absl::StrCat("training.cuda_graph: expected false with parallel.zero=", parallel.zero(),
                     ", which exchanges between the layers of a micro-batch, found "
                     "true; set parallel.zero=1 or do without the graph"));
  }
  if (M % ranks != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "parallel.zero: expected, for ", parallel.zero(), ", a number of ranks that divides the ", M,
        " micro-batches of a step, found ", ranks, " ranks; start another number, or set parallel.zero=1"));
  }
  if (!parallel.reproducible() || parallel.lanes() >= M) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "parallel.lanes: expected, with parallel.zero=", parallel.zero(), ", at least ", M,
      ", one for each micro-batch of a step, found ", parallel.lanes(),
      " (a lane of several would be a whole gradient at each rank until it is complete); raise it before the run "
      "begins, raise training.micro_batch, or set parallel.zero=1 or parallel.reproducible=false"));
}

}  // namespace

absl::StatusOr<ParallelPlan> ParallelPlan::Of(const RunConfig& config, int64_t ranks) {
  const ParallelConfig& parallel = config.parallel();
  const int64_t M = TokensPerStep(config) / (config.training().micro_batch() * config.data().sequence_length());
  const int64_t most = parallel.reproducible() ? std::min(parallel.lanes(), M) : M;
  if (ranks > most) {
    return absl::FailedPreconditionError(absl::StrCat(
        "expected at most ", most, " ranks, found ", ranks, ": a step has ", M,
        " micro-batches of training.micro_batch",
        parallel.reproducible() ? absl::StrCat(" in at most parallel.lanes = ", parallel.lanes(), " lanes") : "",
        ", and each rank needs one of them; start fewer ranks, raise training.tokens_per_step, or lower ",
        "training.micro_batch"));
  }
  ParallelPlan plan = {.ranks = ranks,
                       .micro_batches = M,
                       .leaves = parallel.reproducible() ? most : ranks,
                       .zero = ranks == 1 ? std::min<int64_t>(parallel.zero(), 1) : parallel.zero(),
                       .wire = parallel.wire() == ParallelConfig::bf16 ? DType::kBf16 : DType::kF32};
  if (!plan.in_rounds()) return plan;
  INGOT_RETURN_IF_ERROR(CheckRounds(config, M, ranks));
  plan.leaves = M;
  plan.chained = !parallel.reproducible();
  return plan;
}

ParallelPlan::Deal ParallelPlan::DealOf(int64_t rank) const {
  if (in_rounds()) return {.first = rank, .stride = ranks, .run = 1, .count = micro_batches / ranks};
  const Interval micros = MicroBatchesOf(LeavesOf(rank));
  return {.first = micros.begin, .stride = micro_batches, .run = micros.size(), .count = micros.size()};
}

Interval ParallelPlan::MicroBatchesOf(Interval part) const {
  return {part.begin * micro_batches / leaves, part.end * micro_batches / leaves};
}

// Whether a leaf, or the end, begins behind it.
bool ParallelPlan::EndsLeaf(int64_t micro) const {
  const int64_t leaf = ((micro + 1) * leaves + micro_batches - 1) / micro_batches;
  return leaf * micro_batches / leaves == micro + 1;
}

Interval ParallelPlan::SummedBy(int64_t rank, int64_t flat_size) const {
  constexpr int64_t kBlock = GradientNorm::kBlock;
  INGOT_CHECK(flat_size % kBlock == 0, "a flat buffer of %lld elements", static_cast<long long>(flat_size));
  const Interval blocks = PartOf(flat_size / kBlock, rank, ranks);
  return {blocks.begin * kBlock, blocks.end * kBlock};
}

Interval ParallelPlan::UpdatedBy(int64_t rank, int64_t flat_size) const {
  return zero == 0 ? Interval{0, flat_size} : SummedBy(rank, flat_size);
}

ModelShard ParallelPlan::ShardOf(int64_t rank, int64_t flat_size) const {
  const Interval mine = UpdatedBy(rank, flat_size);
  return {.begin = mine.begin, .end = mine.end, .gradients = zero >= 2, .parameters = zero >= 3};
}

}  // namespace ingot
