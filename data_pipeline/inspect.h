#pragma once
// The figures behind `ingot data inspect`.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "data_pipeline/dataset_state.h"

namespace ingot {

// Lengths of documents in tokens, end of text included: bin b counts those with 2^b <= length < 2^(b+1).
struct LengthHistogram {
  std::array<int64_t, 48> bins = {};
  int64_t shortest = 0, longest = 0;
  void Add(int64_t tokens);
};

struct SplitReport {
  int64_t documents = 0;
  int64_t tokens = 0;
  int64_t text_bytes = -1;  // -1: not known (a single shard)
  int64_t shards = 0;
  LengthHistogram lengths;
  std::vector<std::vector<int32_t>> samples;  // the first tokens of documents spread over the split
};

// Walks over all documents; takes `samples` of them, the first `sample_tokens` tokens of each at most.
SplitReport InspectStream(const TokenStream& stream, int samples, int64_t sample_tokens);

}  // namespace ingot
