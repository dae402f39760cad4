#pragma once
// config.json and generation_config.json, by the rules of docs/checkpoint_format.md.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/dtype.h"
#include "core/model/dims.h"
#include "core/training/hf_model.h"

namespace ingot {

// The class of `transformers` that computes such a model: LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM or
// GPT2LMHeadModel.
std::string HfClass(const ModelDims& dims);

// config.json; every field that a class would fill with a default of its own stands there.
nlohmann::ordered_json HfConfigJson(const ModelDims& dims, DType dtype, const SpecialIds& ids);
nlohmann::ordered_json HfGenerationConfigJson(const SpecialIds& ids);

// The inverse: the text of a config.json, ours or another's. `what` names it in errors.
absl::StatusOr<ModelDims> ParseHfConfig(absl::string_view text, absl::string_view what);

}  // namespace ingot
