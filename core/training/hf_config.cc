// Writing config.json and generation_config.json.
#include "core/training/hf_config.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "core/base/check.h"

namespace ingot {
namespace {

using nlohmann::ordered_json;

// Any version above 4.57.3 keeps transformers from warning about another tokenizer's regex.
constexpr char kTransformersVersion[] = "4.57.6";

// The double whose shortest decimal is that of the float: 1e-05, not 9.999999747378752e-06.
double Shortest(float value) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  double result = 0;
  std::from_chars(text, end, result);
  return result;
}

ordered_json IdOrNull(int64_t id) { return id < 0 ? ordered_json() : ordered_json(id); }

const char* TorchName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "float32";
    case DType::kBf16:
      return "bfloat16";
    case DType::kF16:
      return "float16";
    default:
      INGOT_CHECK(false, "weights are not written as %s", Name(dtype));
  }
}

const char* ModelType(const ModelDims& dims) {
  if (dims.architecture == Architecture::kGpt2) return "gpt2";
  if (dims.qk_norm) return "qwen3";
  return dims.qkv_bias ? "qwen2" : "llama";
}

// The rope base is written in the spelling of transformers 4 and that of 5: each reads only its own.
void AddLlama(const ModelDims& dims, ordered_json& config) {
  const double theta = Shortest(dims.rope_theta);
  config["hidden_size"] = dims.C;
  config["intermediate_size"] = dims.F;
  config["num_hidden_layers"] = dims.L;
  config["num_attention_heads"] = dims.H;
  config["num_key_value_heads"] = dims.K;
  config["head_dim"] = dims.D;
  config["max_position_embeddings"] = dims.T;
  config["hidden_act"] = "silu";
  config["rms_norm_eps"] = Shortest(dims.norm_eps);
  config["rope_theta"] = theta;
  config["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", theta}};
  config["attention_bias"] = false;
  if (dims.qkv_bias || dims.qk_norm) {
    config["use_sliding_window"] = false;
    config["sliding_window"] = nullptr;
    config["max_window_layers"] = dims.L;
  } else {
    config["mlp_bias"] = false;
  }
  config["attention_dropout"] = 0.0;
}

// n_ctx is no field of transformers any more, but converters of others read it. Dropouts default to 0.1 there.
void AddGpt2(const ModelDims& dims, ordered_json& config) {
  config["n_embd"] = dims.C;
  config["n_inner"] = dims.F;
  config["n_layer"] = dims.L;
  config["n_head"] = dims.H;
  config["n_positions"] = dims.T;
  config["n_ctx"] = dims.T;
  config["activation_function"] = "gelu_new";
  config["layer_norm_epsilon"] = Shortest(dims.norm_eps);
  config["scale_attn_weights"] = true;
  config["scale_attn_by_inverse_layer_idx"] = false;
  config["reorder_and_upcast_attn"] = false;
  for (const char* dropout : {"resid_pdrop", "embd_pdrop", "attn_pdrop"}) config[dropout] = 0.0;
}

void AddIds(const SpecialIds& ids, ordered_json eos, ordered_json& config) {
  config["bos_token_id"] = IdOrNull(ids.begin_of_text < 0 ? ids.end_of_text : ids.begin_of_text);
  config["eos_token_id"] = std::move(eos);
  config["pad_token_id"] = IdOrNull(ids.pad < 0 ? ids.end_of_text : ids.pad);
  config["transformers_version"] = kTransformersVersion;
}

}  // namespace

std::string HfClass(const ModelDims& dims) {
  if (dims.architecture == Architecture::kGpt2) return "GPT2LMHeadModel";
  if (dims.qk_norm) return "Qwen3ForCausalLM";
  return dims.qkv_bias ? "Qwen2ForCausalLM" : "LlamaForCausalLM";
}

ordered_json HfConfigJson(const ModelDims& dims, DType dtype, const SpecialIds& ids) {
  ordered_json config = {{"architectures", {HfClass(dims)}}, {"model_type", ModelType(dims)}, {"vocab_size", dims.V}};
  dims.architecture == Architecture::kGpt2 ? AddGpt2(dims, config) : AddLlama(dims, config);
  config["initializer_range"] = 0.02;
  config["use_cache"] = true;
  config["tie_word_embeddings"] = dims.tied_embeddings;
  config["torch_dtype"] = config["dtype"] = TorchName(dtype);
  AddIds(ids, IdOrNull(ids.end_of_text), config);
  return config;
}

ordered_json HfGenerationConfigJson(const SpecialIds& ids) {
  ordered_json config = ordered_json::object();
  AddIds(ids, ids.end_of_text < 0 ? ordered_json() : ordered_json::array({ids.end_of_text}), config);
  return config;
}

}  // namespace ingot
