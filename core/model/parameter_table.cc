#include "core/model/parameter_table.h"

#include <cmath>
#include <utility>

#include "kernels/gradient_norm.h"

namespace ingot {
namespace {

constexpr int64_t kAlignment = 64;  // elements: 256 bytes, as arena pieces begin

int64_t RoundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Collects the parameters in flat order, first those that decay, then the others.
class Builder {
 public:
  explicit Builder(const ModelDims& dims) : d_(dims) {}

  ParameterTable Build() {
    for (const bool decays : {true, false}) {
      decays_ = decays;
      d_.architecture == Architecture::kLlama ? Llama() : Gpt2();
      flat_ = RoundUp(flat_, GradientNorm::kBlock);
      if (decays) table_.decay_size = flat_;
    }
    table_.flat_size = flat_;
    return std::move(table_);
  }

 private:
  // The standard deviations are GPT-2's (Radford et al. 2019, section 2.3): 0.02, and the projections that end on the
  // residual stream divided by the square root of the number of such layers, 2L. GPT-2's own code draws its position
  // table with 0.01; transformers' GPT2 classes, whose config.json we write, draw every table with 0.02, as we do.
  static constexpr float kStd = 0.02f;
  float residual_std() const { return kStd / std::sqrt(2.0f * static_cast<float>(d_.L)); }

  void Add(ParameterSpec spec, bool decays, bool side_by_side = false) {
    if (decays != decays_) return;
    spec.decays = decays;
    spec.layer = layer_;
    if (layer_ >= 0) spec.name = block_ + std::to_string(layer_) + "." + spec.name;
    if (!side_by_side) flat_ = RoundUp(flat_, kAlignment);
    spec.offset = flat_;
    flat_ += Count(spec);
    table_.parameters += Count(spec);
    table_.specs.push_back(std::move(spec));
  }
  void Matrix(const char* name, int64_t O, int64_t I, float std) {
    Add({name, {O, I}, ParameterInit::kNormal, std}, true);
  }
  // As Matrix, directly after the one before: both are read as one matrix.
  void Joined(const char* name, int64_t O, int64_t I) { Add({name, {O, I}, ParameterInit::kNormal, kStd}, true, true); }
  void OnDiskTransposed(const char* name, int64_t O, int64_t I, float std) {
    Add({.name = name, .shape = {O, I}, .init_std = std, .transposed = true}, true);
  }
  void Ones(const char* name, int64_t N) { Add({name, {N}, ParameterInit::kOnes, 0}, false); }
  void Zeros(const char* name, int64_t N, bool joined = false) {
    Add({name, {N}, ParameterInit::kZeros, 0}, false, joined);
  }

  void Llama() {
    if (!d_.tied_embeddings) Matrix("lm_head.weight", d_.V, d_.C, kStd);
    Ones("model.norm.weight", d_.C);
    block_ = "model.layers.";
    for (layer_ = static_cast<int>(d_.L) - 1; layer_ >= 0; --layer_) LlamaBlock();
    Matrix("model.embed_tokens.weight", d_.V, d_.C, kStd);
  }

  void LlamaBlock() {
    const int64_t C = d_.C, F = d_.F, HD = d_.H * d_.D, KD = d_.K * d_.D;
    Matrix("mlp.down_proj.weight", C, F, residual_std());
    Matrix("mlp.gate_proj.weight", F, C, kStd);
    Joined("mlp.up_proj.weight", F, C);
    Ones("post_attention_layernorm.weight", C);
    Matrix("self_attn.o_proj.weight", C, HD, residual_std());
    if (d_.qk_norm) {
      Ones("self_attn.q_norm.weight", d_.D);
      Ones("self_attn.k_norm.weight", d_.D);
    }
    Matrix("self_attn.q_proj.weight", HD, C, kStd);
    Joined("self_attn.k_proj.weight", KD, C);
    Joined("self_attn.v_proj.weight", KD, C);
    if (d_.qkv_bias) {
      Zeros("self_attn.q_proj.bias", HD);
      Zeros("self_attn.k_proj.bias", KD, true);
      Zeros("self_attn.v_proj.bias", KD, true);
    }
    Ones("input_layernorm.weight", C);
  }

  void Gpt2() {
    if (!d_.tied_embeddings) Matrix("lm_head.weight", d_.V, d_.C, kStd);
    Ones("transformer.ln_f.weight", d_.C);
    Zeros("transformer.ln_f.bias", d_.C);
    block_ = "transformer.h.";
    for (layer_ = static_cast<int>(d_.L) - 1; layer_ >= 0; --layer_) Gpt2Block();
    Matrix("transformer.wte.weight", d_.V, d_.C, kStd);
    Matrix("transformer.wpe.weight", d_.T, d_.C, kStd);
  }

  void Gpt2Block() {
    const int64_t C = d_.C, F = d_.F;
    OnDiskTransposed("mlp.c_proj.weight", C, F, residual_std());
    Zeros("mlp.c_proj.bias", C);
    OnDiskTransposed("mlp.c_fc.weight", F, C, kStd);
    Zeros("mlp.c_fc.bias", F);
    Ones("ln_2.weight", C);
    Zeros("ln_2.bias", C);
    OnDiskTransposed("attn.c_proj.weight", C, C, residual_std());
    Zeros("attn.c_proj.bias", C);
    OnDiskTransposed("attn.c_attn.weight", 3 * C, C, kStd);
    Zeros("attn.c_attn.bias", 3 * C);
    Ones("ln_1.weight", C);
    Zeros("ln_1.bias", C);
  }

  const ModelDims& d_;
  ParameterTable table_;
  std::string block_;  // what names of a block begin with
  int layer_ = -1;
  bool decays_ = true;
  int64_t flat_ = 0;
};

}  // namespace

int ParameterTable::Find(const std::string& name) const {
  for (size_t i = 0; i < specs.size(); ++i) {
    if (specs[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

ParameterTable MakeParameterTable(const ModelDims& dims) { return Builder(dims).Build(); }

}  // namespace ingot
