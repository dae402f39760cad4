#pragma once
// Batches for benches: tokens and targets drawn from a fixed stream.
#include "core/model/model.h"
#include "data_pipeline/loader.h"

namespace ingot {

// shape.B sequences of shape.T tokens; `number` tells one batch from another.
TokenBatch RandomBatch(const ModelDims& dims, const RunShape& shape, uint64_t number = 0);

}  // namespace ingot
