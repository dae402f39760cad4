#pragma once
// A model as a Hugging Face directory: config.json, generation_config.json, model.safetensors.
#include <functional>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/dtype.h"
#include "core/base/tensor.h"
#include "core/model/dims.h"
#include "core/model/parameter_table.h"
#include "core/training/flat_parts.h"
#include "core/training/safetensors.h"

namespace ingot {

// Ids of a vocabulary that config.json and generation_config.json name; -1: there is none.
struct SpecialIds {
  int64_t end_of_text = 0;
  int64_t pad = 0;
  int64_t begin_of_text = -1;  // -1: end_of_text, which documents begin after
};

// Writes the three files into an existing directory; weights as `dtype` (f32, bf16, f16; f16 overflow is an error).
absl::Status WriteHfModel(const std::string& directory, const ModelDims& dims, const ParameterTable& table,
                          const Tensor& parameters, DType dtype, const SpecialIds& ids);

// Parts of that: config.json and generation_config.json; a file with parameters [first, last) of the table, of which
// `parameters` has the elements; and model.safetensors.index.json, which says in which of several files a tensor is.
absl::Status WriteHfConfig(const std::string& directory, const ModelDims& dims, DType dtype, const SpecialIds& ids);
absl::StatusOr<FileRecord> WriteHfWeights(const std::string& path, const ParameterTable& table, size_t first,
                                          size_t last, const FlatParts& parameters, DType dtype);
absl::Status WriteHfIndex(const std::string& directory, const std::map<std::string, std::string>& file_of_tensor,
                          int64_t tensor_bytes);

// The dims that DIRECTORY/config.json describes. What we cannot compute exactly is refused by the field's name.
absl::StatusOr<ModelDims> ReadHfConfig(const std::string& directory);

// The ids that DIRECTORY/config.json names; -1 for one that it does not name or that is outside the vocabulary.
absl::StatusOr<SpecialIds> ReadHfSpecialIds(const std::string& directory);

// Reads DIRECTORY/model.safetensors (or its shards by the index) into a flat buffer or a part of one; f32, bf16 and f16
// are taken. Missing, unexpected, duplicate or wrongly shaped tensors are errors that name the tensor.
absl::Status ReadHfWeights(const std::string& directory, const ParameterTable& table, const FlatPart& parameters);

// Reads what `part` has of each parameter from the tensor `name(parameter)`; `stored`: transposed where the parameter is.
absl::Status ReadFlatPart(const SafetensorsReader& reader, const ParameterTable& table,
                          const std::function<std::string(const std::string& parameter)>& name, bool stored,
                          const FlatPart& part);

}  // namespace ingot
