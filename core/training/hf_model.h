#pragma once
// A model as a Hugging Face directory: config.json, generation_config.json, model.safetensors.
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/dtype.h"
#include "core/base/tensor.h"
#include "core/model/dims.h"
#include "core/model/parameter_table.h"
#include "core/training/safetensors.h"

namespace ingot {

// Ids of a vocabulary that config.json and generation_config.json name; -1: there is none.
struct SpecialIds {
  int64_t end_of_text = 0;
  int64_t pad = 0;
  int64_t begin_of_text = -1;  // -1: end_of_text, which documents begin after
};

// Writes the three files into an existing directory; weights as `dtype` (f32, bf16, f16; f16 overflow is an error).
// `weights`, if not null, gets the record of model.safetensors.
absl::Status WriteHfModel(const std::string& directory, const ModelDims& dims, const ParameterTable& table,
                          const Tensor& parameters, DType dtype, const SpecialIds& ids, FileRecord* weights = nullptr);

// The dims that DIRECTORY/config.json describes. What we cannot compute exactly is refused by the field's name.
absl::StatusOr<ModelDims> ReadHfConfig(const std::string& directory);

// The ids that DIRECTORY/config.json names; -1 for one that it does not name or that is outside the vocabulary.
absl::StatusOr<SpecialIds> ReadHfSpecialIds(const std::string& directory);

// Reads DIRECTORY/model.safetensors (or its shards by the index) into the flat buffer; f32, bf16 and f16 are taken.
// Missing, unexpected, duplicate or wrongly shaped tensors are errors that name the tensor.
absl::Status ReadHfWeights(const std::string& directory, const ParameterTable& table, Tensor parameters);

}  // namespace ingot
