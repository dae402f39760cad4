// Reading config.json: what our ops compute exactly is taken, all else is refused by the name of the field.
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_macros.h"
#include "core/training/hf_config.h"

namespace ingot {
namespace {

using nlohmann::json;

// The fields of one config; every problem is noted, so that all are reported at once.
class Fields {
 public:
  Fields(const json& config, absl::string_view what) : config_(config), what_(what) {}

  bool Has(const char* field) const { return config_.contains(field) && !config_[field].is_null(); }
  const json& Get(const char* field) const { return config_[field]; }
  const json& root() const { return config_; }

  int64_t Integer(const char* field, std::optional<int64_t> otherwise = std::nullopt) {
    if (!Has(field) && otherwise.has_value()) return *otherwise;
    if (Has(field) && config_[field].is_number_integer()) return config_[field].get<int64_t>();
    Expected(field, "an integer");
    return 1;
  }
  float Number(const json& object, const char* field, double otherwise) {
    if (!object.contains(field) || object[field].is_null()) return static_cast<float>(otherwise);
    if (object[field].is_number()) return static_cast<float>(object[field].get<double>());
    Problem(absl::StrCat(field, ": expected a number, found ", object[field].dump()));
    return static_cast<float>(otherwise);
  }
  bool Flag(const char* field, bool otherwise) {
    if (!Has(field)) return otherwise;
    if (config_[field].is_boolean()) return config_[field].get<bool>();
    Expected(field, "true or false");
    return otherwise;
  }
  std::string Text(const char* field, const std::string& otherwise) const {
    return Has(field) && config_[field].is_string() ? config_[field].get<std::string>() : otherwise;
  }

  // `field` must be absent, null or `value`: Ingot computes nothing else.
  void Only(const char* field, const json& value) {
    if (Has(field) && config_[field] != value) Expected(field, value.dump());
  }
  void Absent(const char* field, const char* reason) {
    if (Has(field)) Problem(absl::StrCat(field, ": ", reason, "; found ", Shown(field)));
  }
  void Expected(const char* field, absl::string_view expected) {
    Problem(absl::StrCat(field, ": expected ", expected, ", found ", Shown(field)));
  }
  void Problem(std::string problem) { problems_.push_back(std::move(problem)); }

  absl::Status status() const {
    if (problems_.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(what_, ": ", absl::StrJoin(problems_, "; ")));
  }

 private:
  std::string Shown(const char* field) const {
    std::string text = config_.contains(field) ? config_[field].dump() : "nothing";
    if (text.size() > 60) text = text.substr(0, 57) + "...";
    return text;
  }
  const json& config_;
  absl::string_view what_;
  std::vector<std::string> problems_;
};

// Rotary positions: the spelling of transformers 5 wins over that of 4, as it does there.
float RopeTheta(Fields& fields) {
  float theta = fields.Number(fields.root(), "rope_theta", 1e4);
  for (const char* field : {"rope_scaling", "rope_parameters"}) {
    if (!fields.Has(field)) continue;
    const json& rope = fields.Get(field);
    if (!rope.is_object()) {
      fields.Expected(field, "an object");
      continue;
    }
    const json type = rope.contains("rope_type") ? rope["rope_type"] : rope.value("type", json("default"));
    if (type != "default" || rope.contains("factor")) fields.Expected(field, "rope_type \"default\" without a factor");
    for (const auto& [key, value] : rope.items()) {
      if (value.is_object()) fields.Problem(absl::StrCat(field, ".", key, ": rope by layer is not supported"));
    }
    if (rope.contains("partial_rotary_factor") && rope["partial_rotary_factor"] != 1.0) {
      fields.Expected(field, "partial_rotary_factor 1");
    }
    theta = fields.Number(rope, "rope_theta", theta);
  }
  return theta;
}

void CheckWindows(Fields& fields) {
  fields.Only("use_sliding_window", false);
  if (!fields.Has("layer_types")) return;
  const json& types = fields.Get("layer_types");
  bool full = types.is_array();
  for (const json& type : types) full = full && type == "full_attention";
  if (!full) fields.Expected("layer_types", "only \"full_attention\"");
}

void ReadLlama(Fields& fields, const std::string& type, ModelDims& dims) {
  dims.qkv_bias = type == "qwen2";
  dims.qk_norm = type == "qwen3";
  dims.L = fields.Integer("num_hidden_layers");
  dims.C = fields.Integer("hidden_size");
  dims.H = fields.Integer("num_attention_heads");
  dims.F = fields.Integer("intermediate_size");
  dims.K = fields.Integer("num_key_value_heads", type == "llama" ? dims.H : 32);
  const int64_t quotient = dims.H > 0 ? dims.C / dims.H : 0;
  dims.D = fields.Integer("head_dim", type == "qwen3" ? 128 : quotient);
  dims.T = fields.Integer("max_position_embeddings", type == "llama" ? 2048 : 32768);
  dims.rope_theta = RopeTheta(fields);
  dims.tied_embeddings = fields.Flag("tie_word_embeddings", false);
  fields.Only("hidden_act", "silu");
  // True would mean a bias on the output projection as well.
  if (type != "qwen2") fields.Only("attention_bias", false);
  fields.Only("mlp_bias", false);
  fields.Only("partial_rotary_factor", 1.0);
  CheckWindows(fields);
}

void ReadGpt2(Fields& fields, ModelDims& dims) {
  dims.L = fields.Integer("n_layer");
  dims.C = fields.Integer("n_embd");
  dims.H = dims.K = fields.Integer("n_head");
  dims.D = dims.H > 0 ? dims.C / dims.H : 0;
  if (dims.C < 0 || dims.C > int64_t{1} << 40) fields.Expected("n_embd", "a width of at most 2^40");
  dims.F = fields.Has("n_inner") ? fields.Integer("n_inner") : 4 * std::min(dims.C, int64_t{1} << 40);
  dims.T = fields.Integer("n_positions", 1024);
  dims.tied_embeddings = fields.Flag("tie_word_embeddings", true);
  const std::string activation = fields.Text("activation_function", "gelu_new");
  if (activation != "gelu_new" && activation != "gelu_pytorch_tanh") {
    fields.Expected("activation_function", "\"gelu_new\" or \"gelu_pytorch_tanh\"");
  }
  fields.Only("scale_attn_weights", true);
  fields.Only("scale_attn_by_inverse_layer_idx", false);
  fields.Only("add_cross_attention", false);
}

// What no class of ours has.
void RefuseOthers(Fields& fields) {
  fields.Absent("quantization_config", "quantized weights are not read");
  fields.Absent("auto_map", "a model with code of its own is not run");
  fields.Absent("num_experts", "mixtures of experts are not supported");
  fields.Absent("num_local_experts", "mixtures of experts are not supported");
  fields.Absent("per_layer_config", "layers of different shapes are not supported");
  fields.Only("is_encoder_decoder", false);
  if (!fields.Has("architectures")) return;
  for (const json& name : fields.Get("architectures")) {
    if (name.is_string() && name.get<std::string>().find("Moe") != std::string::npos) {
      fields.Problem(absl::StrCat("architectures: mixtures of experts are not supported; found ", name.dump()));
    }
  }
}

}  // namespace

absl::StatusOr<ModelDims> ParseHfConfig(absl::string_view text, absl::string_view what) {
  INGOT_ASSIGN_OR_RETURN(const json config, ParseJson(text, what));
  if (!config.is_object()) return absl::InvalidArgumentError(absl::StrCat(what, ": expected a JSON object"));
  Fields fields(config, what);
  const std::string type = fields.Text("model_type", "");
  ModelDims dims;
  if (type == "gpt2") {
    dims.architecture = Architecture::kGpt2;
    ReadGpt2(fields, dims);
  } else if (type == "llama" || type == "qwen2" || type == "qwen3") {
    dims.architecture = Architecture::kLlama;
    ReadLlama(fields, type, dims);
  } else {
    fields.Expected("model_type", "llama, qwen2, qwen3 or gpt2");
    return fields.status();
  }
  dims.norm_eps =
      type == "gpt2" ? fields.Number(config, "layer_norm_epsilon", 1e-5) : fields.Number(config, "rms_norm_eps", 1e-6);
  dims.V = fields.Integer("vocab_size");
  RefuseOthers(fields);
  INGOT_RETURN_IF_ERROR(fields.status());
  for (std::string& problem : Problems(dims)) fields.Problem(std::move(problem));
  INGOT_RETURN_IF_ERROR(fields.status());
  return dims;
}

}  // namespace ingot
