#pragma once
// Small models with random values, for tests of checkpoints.
#include <string>
#include <vector>

#include "core/base/file.h"
#include "core/base/philox.h"
#include "core/model/dims.h"
#include "core/model/parameter_table.h"
#include "core/training/checkpoint.h"
#include "tests/temporary_directory.h"

namespace ingot {

inline ModelDims LlamaDims() {
  return {.L = 2, .C = 32, .H = 4, .K = 2, .D = 8, .F = 48, .V = 64, .T = 16, .tied_embeddings = false};
}
inline ModelDims Gpt2Dims() {
  return {.architecture = Architecture::kGpt2, .L = 2, .C = 32, .H = 4, .K = 4, .D = 8, .F = 48, .V = 64, .T = 16};
}

// Parameters and moments of a model; the padding between parameters is 0.
struct SmallModel {
  explicit SmallModel(const ModelDims& model_dims, uint64_t seed = 1)
      : dims(model_dims), table(MakeParameterTable(dims)), values(3) {
    for (uint64_t kind = 0; kind < values.size(); ++kind) {
      values[kind].resize(table.flat_size);
      for (const ParameterSpec& spec : table.specs) {
        for (int64_t n = 0; n < Count(spec); ++n) {
          values[kind][spec.offset + n] = static_cast<float>(Philox{seed}.Normal(kind, spec.offset + n));
        }
      }
    }
  }
  Tensor flat(int kind) { return Tensor(values[kind].data(), DType::kF32, {table.flat_size}); }
  Tensor parameters() { return flat(0); }
  CheckpointContents::Moments optimizer() { return {flat(1), flat(2)}; }
  StateParts state_parts() { return {flat(0), flat(1), flat(2)}; }
  CheckpointContents contents(int64_t step) {
    return {.dims = dims,
            .table = &table,
            .parameters = parameters(),
            .optimizer = optimizer(),
            .state = {.step = step,
                      .next_sequence = 8 * step,
                      .tokens = 128 * step,
                      .dataset_fingerprint = 0xFEDCBA9876543210u,
                      .config = "model { layers: 2 }\n",
                      .environment = "test"},
            .tokenizer_directory = "",
            .weights_dtype = DType::kF32};
  }

  ModelDims dims;
  ParameterTable table;
  std::vector<std::vector<float>> values;  // parameters, m, v
};

}  // namespace ingot
