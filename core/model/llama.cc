// Llama (Touvron et al. 2023, arXiv:2302.13971) with the switches that make Qwen2 and Qwen3 of it: biases on q, k, v;
// RMSNorm on each query and key head.
#include "core/model/network.h"
#include "kernels/attention.h"
#include "kernels/embedding.h"
#include "kernels/qkv_rope.h"
#include "kernels/residual_rmsnorm.h"
#include "kernels/swiglu.h"
#include "kernels/swiglu_matmul.h"

namespace ingot {
namespace {

struct LlamaLayer {
  Tensor norm1;                                    // (C)
  Tensor qkv;                                      // ((H + 2K) * D, C)
  Tensor qkv_bias = {}, q_norm = {}, k_norm = {};  // ((H + 2K) * D), (D), (D)
  Tensor projection;                               // (C, H * D)
  Tensor norm2;                                    // (C)
  Tensor gate_up, down;                            // (2F, C), (C, F)
};

class Llama : public Network {
 public:
  explicit Llama(const NetworkMemory& memory) : Network(memory, kEmbedding) {
    for (int64_t l = 0; l < memory_.dims.L; ++l) {
      parameters_.push_back(LayerOf(memory_.parameters, l));
      gradients_.push_back(LayerOf(memory_.gradients, l));
    }
  }

 private:
  static constexpr char kEmbedding[] = "model.embed_tokens.weight";
  static constexpr char kFinalNorm[] = "model.norm.weight";

  LlamaLayer LayerOf(const FlatBuffer& flat, int64_t l) const {
    const std::string block = "model.layers." + std::to_string(l) + ".";
    const std::string q = block + "self_attn.q_proj", k = block + "self_attn.k_proj", v = block + "self_attn.v_proj";
    LlamaLayer layer = {
        .norm1 = View(flat, block + "input_layernorm.weight"),
        .qkv = JointView(flat, {q + ".weight", k + ".weight", v + ".weight"}),
        .projection = View(flat, block + "self_attn.o_proj.weight"),
        .norm2 = View(flat, block + "post_attention_layernorm.weight"),
        .gate_up = JointView(flat, {block + "mlp.gate_proj.weight", block + "mlp.up_proj.weight"}),
        .down = View(flat, block + "mlp.down_proj.weight"),
    };
    if (memory_.dims.qkv_bias) layer.qkv_bias = JointView(flat, {q + ".bias", k + ".bias", v + ".bias"});
    if (memory_.dims.qk_norm) {
      layer.q_norm = View(flat, block + "self_attn.q_norm.weight");
      layer.k_norm = View(flat, block + "self_attn.k_norm.weight");
    }
    return layer;
  }

  void Embed(Context& ctx, const NetworkInput& in) override {
    const Tensor table = View(memory_.parameters, kEmbedding);
    ctx.Run(EmbeddingForward{.tokens = Rows(in.tokens), .table = table, .y = blocks_[0].x1});
  }

  void ForwardAttention(Context& ctx, const NetworkInput& in, int64_t l, const Tensor& before) override {
    const LlamaLayer& p = parameters_[l];
    const BlockActivations& a = blocks_[l];
    Norm(ctx, a.x1, before, p.norm1, a.n1, a.rstd1);
    LinearForward{.x = a.n1, .w = Weight(l, Fp8Weights::kQkv), .bias = p.qkv_bias, .y = a.qkv}.Run(ctx);
    ctx.Run(QkvRopeForward{.qkv = BySequence(a.qkv),
                           .q_norm = p.q_norm,
                           .k_norm = p.k_norm,
                           .angles = memory_.angles,
                           .positions = in.positions,
                           .q = a.q,
                           .k = a.k,
                           .v = a.v,
                           .eps = memory_.dims.norm_eps});
    Attend(ctx, in, l);
    Round(ctx, a.y);
    LinearForward{.x = a.y, .w = Weight(l, Fp8Weights::kProjection), .y = a.x2}.Run(ctx);
  }

  void ForwardUp(Context& ctx, int64_t l, const Tensor& before) override {
    const LlamaLayer& p = parameters_[l];
    const BlockActivations& a = blocks_[l];
    Norm(ctx, a.x2, before, p.norm2, a.n2, a.rstd2);
    if (a.h.fp8.absent()) {
      return ctx.Run(SwigluMatmulForward{.x = a.n2.values, .w = p.gate_up, .gate_up = a.up, .y = a.h.values});
    }
    LinearForward{.x = a.n2, .w = Weight(l, Fp8Weights::kUp), .y = a.up}.Run(ctx);
    ctx.Run(SwigluForward{.gate_up = a.up, .y8 = a.h.fp8});
  }

  void ForwardDown(Context& ctx, int64_t l) override {
    LinearForward{.x = blocks_[l].h, .w = Weight(l, Fp8Weights::kDown), .y = StreamAfter(l)}.Run(ctx);
  }

  void ForwardFinalNorm(Context& ctx) override {
    Norm(ctx, final_.x, blocks_.back().x2, View(memory_.parameters, kFinalNorm), {final_.n}, final_.rstd);
  }

  void BackwardFinalNorm(Context& ctx) override {
    ctx.Run(ResidualRmsNormBackward{.dy = dx(),
                                    .x = final_.x,
                                    .w = View(memory_.parameters, kFinalNorm),
                                    .rstd = final_.rstd,
                                    .dx = dx(),
                                    .dw = View(memory_.gradients, kFinalNorm)});
  }

  void RecomputeMlp(Context& ctx, int64_t l) override {
    const BlockActivations& a = blocks_[l];
    Norm(ctx, a.x2, Tensor(), parameters_[l].norm2, a.n2, a.rstd2);
    ctx.Run(SwigluForward{.gate_up = a.up, .y = a.h.values, .y8 = a.h.fp8});
  }

  void BackwardFeedForward(Context& ctx, int64_t l) override {
    const LlamaLayer &p = parameters_[l], &g = gradients_[l];
    const BlockActivations& a = blocks_[l];
    Round(ctx, final_.dx);
    LinearBackward{.dy = final_.dx, .x = a.h, .w = Weight(l, Fp8Weights::kDown), .dx = a.dh, .dw = g.down}.Run(ctx);
    const Tensor dgate_up = a.dup.fp8.absent() ? a.dup.values : Tensor();
    ctx.Run(SwigluBackward{.dy = a.dh, .gate_up = a.up, .dgate_up = dgate_up, .dgate_up8 = a.dup.fp8});
    LinearBackward{.dy = a.dup, .x = a.n2, .w = Weight(l, Fp8Weights::kUp), .dx = a.dn2, .dw = g.gate_up}.Run(ctx);
    ctx.Run(ResidualRmsNormBackward{
        .dy = a.dn2, .dsum = dx(), .x = a.x2, .w = p.norm2, .rstd = a.rstd2, .dx = dx(), .dw = g.norm2});
  }

  void BackwardAttention(Context& ctx, const NetworkInput& in, int64_t l) override {
    const LlamaLayer &p = parameters_[l], &g = gradients_[l];
    const BlockActivations& a = blocks_[l];
    const Tensor dqkv = BySequence(a.dqkv.values);
    Round(ctx, final_.dx);
    LinearBackward{.dy = final_.dx, .x = a.y, .w = Weight(l, Fp8Weights::kProjection), .dx = a.dy, .dw = g.projection}
        .Run(ctx);
    ctx.Run(AttentionBackward{.dy = BySequence(a.dy),
                              .q = a.q,
                              .k = a.k,
                              .v = a.v,
                              .document_start = in.document_start,
                              .y = BySequence(a.y.values),
                              .lse = a.lse,
                              .dq = a.dq,
                              .dk = a.dk,
                              .dv = a.dv});
    ctx.Run(QkvRopeBackward{.dq = a.dq,
                            .dk = a.dk,
                            .dv = a.dv,
                            .qkv = memory_.dims.qk_norm ? dqkv : Tensor(),
                            .q_norm = p.q_norm,
                            .k_norm = p.k_norm,
                            .angles = memory_.angles,
                            .positions = in.positions,
                            .dqkv = dqkv,
                            .dq_norm = g.q_norm,
                            .dk_norm = g.k_norm,
                            .eps = memory_.dims.norm_eps});
    Round(ctx, a.dqkv);
    LinearBackward{
        .dy = a.dqkv, .x = a.n1, .w = Weight(l, Fp8Weights::kQkv), .dx = a.dn1, .dw = g.qkv, .dbias = g.qkv_bias}
        .Run(ctx);
    ctx.Run(ResidualRmsNormBackward{
        .dy = a.dn1, .dsum = dx(), .x = a.x1, .w = p.norm1, .rstd = a.rstd1, .dx = dx(), .dw = g.norm1});
  }

  void BackwardEmbedding(Context& ctx, const NetworkInput& in) override {
    const Tensor dtable = View(memory_.gradients, kEmbedding);
    ctx.Run(EmbeddingBackward{.dy = dx(), .tokens = Rows(in.tokens), .dtable = dtable});
  }

  Tensor BlockWeight(int64_t l, Fp8Weights::Matrix matrix) const override {
    const LlamaLayer& p = parameters_[l];
    const Tensor weights[Fp8Weights::kMatrices] = {p.qkv, p.projection, p.gate_up, p.down};
    return weights[matrix];
  }

  // x += before where given, then y = RMSNorm(x).
  void Norm(Context& ctx, const Tensor& x, const Tensor& before, const Tensor& w, const Operand& y,
            const Tensor& rstd) const {
    ctx.Run(ResidualRmsNormForward{.x = x,
                                   .residual = before,
                                   .w = w,
                                   .sum = before.absent() ? Tensor() : x,
                                   .y = y.values,
                                   .y8 = y.fp8,
                                   .rstd = rstd,
                                   .eps = memory_.dims.norm_eps});
  }

  std::vector<LlamaLayer> parameters_, gradients_;
};

}  // namespace

std::unique_ptr<Network> MakeLlama(const NetworkMemory& memory) { return std::make_unique<Llama>(memory); }

}  // namespace ingot
