#include "tools/ingot/random_batch.h"

#include "core/base/philox.h"

namespace ingot {

TokenBatch RandomBatch(const ModelDims& dims, const RunShape& shape, uint64_t number) {
  const Philox random{1 + number};
  const int64_t N = shape.B * shape.T;
  TokenBatch batch;
  batch.B = shape.B;
  batch.T = shape.T;
  batch.target_count = N;
  for (int64_t n = 0; n < N; ++n) {
    batch.tokens.push_back(static_cast<int32_t>(random.Below(dims.V, 0, n)));
    batch.targets.push_back(static_cast<int32_t>(random.Below(dims.V, 1, n)));
    batch.positions.push_back(static_cast<int32_t>(n % shape.T));
  }
  return batch;
}

}  // namespace ingot
