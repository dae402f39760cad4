#include "core/training/hf_model.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "core/training/hf_config.h"

namespace ingot {
namespace {

constexpr uint64_t kMaxConfigBytes = 10'000'000;

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
absl::Status CheckTiedHead(const std::string& directory, const SafetensorsReader& reader, const ParameterTable& table,
                           const Tensor& parameters) {
  for (const ParameterSpec& spec : table.specs) {
    if (!absl::EndsWith(spec.name, "embed_tokens.weight") && !absl::EndsWith(spec.name, "wte.weight")) continue;
    std::vector<float> head(Count(spec));
    INGOT_RETURN_IF_ERROR(reader.Read("lm_head.weight", spec.shape, false, head.data()));
    if (std::memcmp(head.data(), parameters.data<float>() + spec.offset, head.size() * sizeof(float)) == 0) {
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat(directory, ": tensor lm_head.weight differs from the embedding table, but config.json ties them"));
}

}  // namespace

absl::Status WriteHfModel(const std::string& directory, const ModelDims& dims, const ParameterTable& table,
                          const Tensor& parameters, DType dtype, const SpecialIds& ids, FileRecord* weights) {
  INGOT_RETURN_IF_ERROR(WriteJson(JoinPath(directory, "config.json"), HfConfigJson(dims, dtype, ids)));
  INGOT_RETURN_IF_ERROR(WriteJson(JoinPath(directory, "generation_config.json"), HfGenerationConfigJson(ids)));
  std::vector<TensorSource> tensors;
  for (const ParameterSpec& spec : table.specs) {
    tensors.push_back({spec.name, spec.shape, spec.transposed, dtype, parameters.data<float>() + spec.offset});
  }
  const std::string path = JoinPath(directory, "model.safetensors");
  INGOT_ASSIGN_OR_RETURN(const FileRecord record, WriteSafetensors(path, std::move(tensors), {{"format", "pt"}}));
  if (weights != nullptr) *weights = record;
  return absl::OkStatus();
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

absl::Status ReadHfWeights(const std::string& directory, const ParameterTable& table, Tensor parameters) {
  INGOT_ASSIGN_OR_RETURN(const SafetensorsReader reader, SafetensorsReader::OpenModel(directory));
  std::set<std::string> known;
  for (const ParameterSpec& spec : table.specs) {
    const std::string name = StoredName(reader, spec.name);
    known.insert(name);
    INGOT_RETURN_IF_ERROR(reader.Read(name, spec.shape, spec.transposed, parameters.data<float>() + spec.offset));
  }
  for (const auto& item : reader.tensors()) {
    const std::string& name = item.first;
    if (known.count(name) > 0 || IsBuffer(name)) continue;
    if (name != "lm_head.weight") {
      return absl::InvalidArgumentError(absl::StrCat(directory, ": tensor ", name, " is not expected by config.json"));
    }
    INGOT_RETURN_IF_ERROR(CheckTiedHead(directory, reader, table, parameters));
  }
  return absl::OkStatus();
}

}  // namespace ingot
