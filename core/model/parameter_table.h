#pragma once
// The one list of a model's parameters. Allocation, initialisation, optimizer groups, checkpoints, export, import and
// estimates all loop over it.
#include <cstdint>
#include <string>
#include <vector>

#include "core/base/tensor.h"
#include "core/model/dims.h"

namespace ingot {

enum class ParameterInit { kNormal, kOnes, kZeros };

struct ParameterSpec {
  std::string name;            // the Hugging Face name: model.layers.3.mlp.gate_proj.weight
  std::vector<int64_t> shape;  // as our ops want it; matrices (O, I)
  ParameterInit init = ParameterInit::kNormal;
  float init_std = 0.02f;
  bool decays = false;      // weight decay: matrices and embeddings, not biases and norms
  int layer = -1;           // -1: outside the layers
  bool transposed = false;  // on disk (I, O): GPT-2's Conv1D
  int64_t offset = 0;       // elements from the start of the flat buffer
};

struct ParameterTable {
  // In flat order: first all that decay, in the order backward completes them (head, last layer … first layer,
  // embedding), then all that do not, likewise. Parameters that one product reads as one matrix (q, k, v; gate, up)
  // stand side by side without padding; every other begins at a multiple of 64 elements.
  std::vector<ParameterSpec> specs;
  int64_t flat_size = 0;   // elements with padding, a multiple of GradientNorm::kBlock
  int64_t decay_size = 0;  // elements [0, decay_size) decay; a multiple of GradientNorm::kBlock
  int64_t parameters = 0;  // elements without padding: what people call the size of the model

  // Index into specs, or -1.
  int Find(const std::string& name) const;
};

inline int64_t Count(const ParameterSpec& spec) {
  int64_t count = 1;
  for (const int64_t size : spec.shape) count *= size;
  return count;
}

// `dims` must be without Problems(). A tied head has no entry of its own.
ParameterTable MakeParameterTable(const ModelDims& dims);

}  // namespace ingot
