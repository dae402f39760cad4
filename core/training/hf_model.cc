#include "core/training/hf_model.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/check.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "core/training/hf_config.h"

namespace ingot {
namespace {

constexpr uint64_t kMaxConfigBytes = 10'000'000;
constexpr int64_t kChunk = int64_t{1} << 20;  // elements that are read at a time

absl::Status WriteJson(const std::string& path, const nlohmann::ordered_json& value) {
  return WriteFileAtomically(path, value.dump(2) + "\n");
}

// Constants that other programs store among the weights: masks of GPT-2, rotary frequencies of early Llama files.
bool IsBuffer(const std::string& name) {
  return absl::EndsWith(name, ".attn.bias") || absl::EndsWith(name, ".attn.masked_bias") ||
         absl::EndsWith(name, ".rotary_emb.inv_freq");
}

// The name under which `reader` has the parameter: files of a model without its head leave out the first part.
std::string StoredName(const SafetensorsReader& reader, const std::string& name) {
  if (reader.Has(name)) return name;
  for (const char* prefix : {"model.", "transformer."}) {
    if (absl::StartsWith(name, prefix) && reader.Has(name.substr(std::strlen(prefix)))) {
      return name.substr(std::strlen(prefix));
    }
  }
  return name;
}

// A head beside tied embeddings is taken only if it is the embedding table, value for value.
absl::Status CheckTiedHead(const std::string& directory, const SafetensorsReader& reader, const ParameterTable& table) {
  std::vector<float> head(kChunk), embedding(kChunk);
  for (const ParameterSpec& spec : table.specs) {
    if (!absl::EndsWith(spec.name, "embed_tokens.weight") && !absl::EndsWith(spec.name, "wte.weight")) continue;
    bool same = true;
    for (int64_t begin = 0; same && begin < Count(spec); begin += kChunk) {
      const int64_t end = std::min(begin + kChunk, Count(spec));
      INGOT_RETURN_IF_ERROR(reader.ReadRange("lm_head.weight", spec.shape, false, begin, end, head.data()));
      INGOT_RETURN_IF_ERROR(
          reader.ReadRange(StoredName(reader, spec.name), spec.shape, spec.transposed, begin, end, embedding.data()));
      same = std::memcmp(head.data(), embedding.data(), static_cast<size_t>(end - begin) * sizeof(float)) == 0;
    }
    if (same) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(directory, ": tensor lm_head.weight differs from the embedding table, but config.json ties them"));
}

// Elements [begin, end) of one tensor, wherever they go.
absl::Status ReadInto(const SafetensorsReader& reader, const std::string& name, const ParameterSpec& spec,
                      bool transposed, Interval range, const FlatPart& part) {
  const auto read = [&](Interval elements, float* values) {
    return reader.ReadRange(name, spec.shape, transposed, elements.begin - spec.offset, elements.end - spec.offset,
                            values);
  };
  if (part.values.dtype == DType::kF32) return read(range, static_cast<float*>(part.At(range.begin)));
  std::vector<float> wide(std::min(kChunk, range.size()));
  for (int64_t begin = range.begin; begin < range.end; begin += kChunk) {
    const Interval chunk = {begin, std::min(begin + kChunk, range.end)};
    INGOT_RETURN_IF_ERROR(read(chunk, wide.data()));
    Bf16* const to = static_cast<Bf16*>(part.At(begin));
    for (int64_t n = 0; n < chunk.size(); ++n) to[n] = ToBf16(wide[n]);  // exact: they are stored as bf16
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteHfConfig(const std::string& directory, const ModelDims& dims, DType dtype, const SpecialIds& ids) {
  INGOT_RETURN_IF_ERROR(WriteJson(JoinPath(directory, "config.json"), HfConfigJson(dims, dtype, ids)));
  return WriteJson(JoinPath(directory, "generation_config.json"), HfGenerationConfigJson(ids));
}

absl::StatusOr<FileRecord> WriteHfWeights(const std::string& path, const ParameterTable& table, size_t first,
                                          size_t last, const FlatParts& parameters, DType dtype) {
  INGOT_CHECK(parameters.dtype() == DType::kF32, "parameters in %s", Name(parameters.dtype()));
  std::vector<TensorSource> tensors;
  for (size_t i = first; i < last; ++i) {
    const ParameterSpec& spec = table.specs[i];
    const auto* values = static_cast<const float*>(parameters.At({spec.offset, spec.offset + Count(spec)}));
    tensors.push_back({spec.name, spec.shape, spec.transposed, dtype, values});
  }
  return WriteSafetensors(path, std::move(tensors), {{"format", "pt"}});
}

absl::Status WriteHfIndex(const std::string& directory, const std::map<std::string, std::string>& file_of_tensor,
                          int64_t tensor_bytes) {
  const nlohmann::ordered_json index = {{"metadata", {{"total_size", tensor_bytes}}}, {"weight_map", file_of_tensor}};
  return WriteJson(JoinPath(directory, "model.safetensors.index.json"), index);
}

absl::Status WriteHfModel(const std::string& directory, const ModelDims& dims, const ParameterTable& table,
                          const Tensor& parameters, DType dtype, const SpecialIds& ids) {
  INGOT_RETURN_IF_ERROR(WriteHfConfig(directory, dims, dtype, ids));
  return WriteHfWeights(JoinPath(directory, "model.safetensors"), table, 0, table.specs.size(), parameters, dtype)
      .status();
}

absl::StatusOr<ModelDims> ReadHfConfig(const std::string& directory) {
  const std::string path = JoinPath(directory, "config.json");
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  if (FileExists(JoinPath(directory, "adapter_config.json"))) {
    return absl::InvalidArgumentError(absl::StrCat(directory,
                                                   ": adapter_config.json: adapters are not read; merge "
                                                   "the adapter into its base model first"));
  }
  return ParseHfConfig(text, path);
}

absl::StatusOr<SpecialIds> ReadHfSpecialIds(const std::string& directory) {
  const std::string path = JoinPath(directory, "config.json");
  INGOT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxConfigBytes));
  INGOT_ASSIGN_OR_RETURN(const nlohmann::json config, ParseJson(text, path));
  INGOT_ASSIGN_OR_RETURN(const ModelDims dims, ParseHfConfig(text, path));
  const auto id = [&config, &dims](const char* field) -> int64_t {
    if (!config.contains(field)) return -1;
    nlohmann::json value = config[field];
    if (value.is_array() && !value.empty()) value = nlohmann::json(value.front());
    const int64_t number = value.is_number_integer() ? value.get<int64_t>() : -1;
    return number >= 0 && number < dims.V ? number : -1;
  };
  return SpecialIds{.end_of_text = id("eos_token_id"), .pad = id("pad_token_id"), .begin_of_text = id("bos_token_id")};
}

absl::Status ReadFlatPart(const SafetensorsReader& reader, const ParameterTable& table,
                          const std::function<std::string(const std::string& parameter)>& name, bool stored,
                          const FlatPart& part) {
  for (const ParameterSpec& spec : table.specs) {
    const Interval range = Intersection({spec.offset, spec.offset + Count(spec)}, part.range);
    if (range.size() == 0) continue;
    INGOT_RETURN_IF_ERROR(ReadInto(reader, name(spec.name), spec, stored && spec.transposed, range, part));
  }
  return absl::OkStatus();
}

absl::Status ReadHfWeights(const std::string& directory, const ParameterTable& table, const FlatPart& parameters) {
  INGOT_ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::OpenModel(directory));
  const auto stored_name = [&reader](const std::string& name) { return StoredName(reader, name); };
  INGOT_RETURN_IF_ERROR(ReadFlatPart(reader, table, stored_name, /*stored=*/true, parameters));
  std::set<std::string> known;
  for (const ParameterSpec& spec : table.specs) known.insert(stored_name(spec.name));
  for (const auto& item : reader.tensors()) {
    const std::string& name = item.first;
    if (known.count(name) > 0 || IsBuffer(name)) continue;
    if (name != "lm_head.weight") {
      return absl::InvalidArgumentError(absl::StrCat(directory, ": tensor ", name, " is not expected by config.json"));
    }
    INGOT_RETURN_IF_ERROR(CheckTiedHead(directory, reader, table));
  }
  return absl::OkStatus();
}

}  // namespace ingot
