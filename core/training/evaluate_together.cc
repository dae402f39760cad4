#include "core/training/evaluate_together.h"

#include <algorithm>

#include "core/base/status_macros.h"
#include "distributed/sum_tree.h"

namespace ingot {
namespace {

// `count` windows from `first` on.
WindowSource Part(const WindowSource& source, int64_t first, int64_t count) {
  return {.windows = count,
          .read = [&source, first](int64_t window, TokenBatch& batch) { return source.read(first + window, batch); }};
}

}  // namespace

absl::StatusOr<EvalTotals> EvaluateTogether(Model& model, const WindowSource& source, const Tokenizer& tokenizer,
                                            bool mask_documents, Communicator& communicator) {
  const int64_t B = model.shape().B, batches = (source.windows + B - 1) / B;
  std::vector<EvalTotals> totals(batches);
  const Interval mine = PartOf(batches, communicator.rank(), communicator.size());
  // Where each layer's weights come from all ranks, all of them make as many passes: some only take part.
  const bool together = model.shape().shard.parameters;
  const int64_t ranks = communicator.size(), passes = together ? (batches + ranks - 1) / ranks : mine.size();
  for (int64_t pass = 0; pass < passes; ++pass) {
    const int64_t batch = std::min(mine.begin + pass, batches - 1);
    const WindowSource part = Part(source, batch * B, std::min(B, source.windows - batch * B));
    INGOT_ASSIGN_OR_RETURN(const EvalTotals its, Evaluate(model, part, tokenizer, mask_documents));
    if (pass < mine.size()) totals[batch] = its;
  }
  std::vector<Interval> parts;
  for (int64_t rank = 0; rank < communicator.size(); ++rank) {
    const Interval its = PartOf(batches, rank, communicator.size());
    parts.push_back({its.begin * int64_t{sizeof(EvalTotals)}, its.end * int64_t{sizeof(EvalTotals)}});
  }
  INGOT_RETURN_IF_ERROR(communicator.AllGather(totals.data(), parts));
  EvalTotals sum;
  for (const EvalTotals& part : totals) {
    sum.nats += part.nats;
    sum.targets += part.targets;
    sum.bytes += part.bytes;
  }
  return sum;
}

}  // namespace ingot
