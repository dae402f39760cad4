#pragma once
// One walk over every id of a foreign corpus: the check behind `ingot data verify` and the figures of `inspect`.
#include <cstdint>

#include "data_pipeline/foreign/corpus.h"
#include "data_pipeline/inspect.h"

namespace ingot {

struct ForeignReport {
  // Documents and their lengths without separators. Where the separator is not known (LLMQ), all of a file is one.
  SplitReport contents;
  int64_t largest_id = -1;
};

// Checks every id and, for Megatron, the whole index. Samples are the first documents, `sample_tokens` of each at most.
absl::StatusOr<ForeignReport> InspectForeign(const ForeignCorpus& corpus, int samples, int64_t sample_tokens);

}  // namespace ingot
