#include "core/training/parallel_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "kernels/gradient_norm.h"

namespace ingot {

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
  return ParallelPlan{
      .ranks = ranks, .micro_batches = M, .leaves = parallel.reproducible() ? most : ranks, .zero = parallel.zero()};
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

}  // namespace ingot
