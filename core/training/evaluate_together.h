#pragma once
// Evaluation by several ranks that have the same model.
#include "core/training/evaluate.h"
#include "distributed/communicator.h"

namespace ingot {

// Collective: as Evaluate(), each rank some of the batches. Sums are added by batch, in their order, so that the result
// has the same bits for any number of ranks.
absl::StatusOr<EvalTotals> EvaluateTogether(Model& model, const WindowSource& source, const Tokenizer& tokenizer,
                                            bool mask_documents, Communicator& communicator);

}  // namespace ingot
