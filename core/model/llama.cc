// Llama (Touvron et al. 2023, arXiv:2302.13971) with the switches that make Qwen2 and Qwen3 of it: biases on q, k, v;
// RMSNorm on each query and key head.
#include "core/model/network.h"
#include "kernels/attention.h"
#include "kernels/embedding.h"
#include "kernels/matmul.h"
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
    ctx.Run(MatmulForward{.x = a.n1, .w = p.qkv, .bias = p.qkv_bias, .y = a.qkv});
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
    ctx.Run(MatmulForward{.x = a.y, .w = p.projection, .y = a.x2});
  }

  void ForwardUp(Context& ctx, int64_t l, const Tensor& before) override {
    const LlamaLayer& p = parameters_[l];
    const BlockActivations& a = blocks_[l];
    Norm(ctx, a.x2, before, p.norm2, a.n2, a.rstd2);
    ctx.Run(SwigluMatmulForward{.x = a.n2, .w = p.gate_up, .gate_up = a.up, .y = a.h});
  }

  void ForwardDown(Context& ctx, int64_t l) override {
    ctx.Run(MatmulForward{.x = blocks_[l].h, .w = parameters_[l].down, .y = StreamAfter(l)});
  }

  void ForwardFinalNorm(Context& ctx) override {
    Norm(ctx, final_.x, blocks_.back().x2, View(memory_.parameters, kFinalNorm), final_.n, final_.rstd);
  }

  void BackwardFinalNorm(Context& ctx) override {
    ctx.Run(ResidualRmsNormBackward{.dy = final_.dx,
                                    .x = final_.x,
                                    .w = View(memory_.parameters, kFinalNorm),
                                    .rstd = final_.rstd,
                                    .dx = final_.dx,
                                    .dw = View(memory_.gradients, kFinalNorm)});
  }

  void RecomputeMlp(Context& ctx, int64_t l) override {
    const BlockActivations& a = blocks_[l];
    Norm(ctx, a.x2, Tensor(), parameters_[l].norm2, a.n2, a.rstd2);
    ctx.Run(SwigluForward{.gate_up = a.up, .y = a.h});
  }

  void BackwardFeedForward(Context& ctx, int64_t l) override {
    const LlamaLayer &p = parameters_[l], &g = gradients_[l];
    const BlockActivations& a = blocks_[l];
    const Tensor& dx = final_.dx;
    ctx.Run(MatmulBackward{.dy = dx, .x = a.h, .w = p.down, .dx = a.dh, .dw = g.down});
    ctx.Run(SwigluBackward{.dy = a.dh, .gate_up = a.up, .dgate_up = a.up});
    ctx.Run(MatmulBackward{.dy = a.up, .x = a.n2, .w = p.gate_up, .dx = a.dn2, .dw = g.gate_up});
    ctx.Run(ResidualRmsNormBackward{
        .dy = a.dn2, .dsum = dx, .x = a.x2, .w = p.norm2, .rstd = a.rstd2, .dx = dx, .dw = g.norm2});
  }

  void BackwardAttention(Context& ctx, const NetworkInput& in, int64_t l) override {
    const LlamaLayer &p = parameters_[l], &g = gradients_[l];
    const BlockActivations& a = blocks_[l];
    const Tensor &dx = final_.dx, dqkv = BySequence(a.dqkv);
    ctx.Run(MatmulBackward{.dy = dx, .x = a.y, .w = p.projection, .dx = a.dy, .dw = g.projection});
    ctx.Run(AttentionBackward{.dy = BySequence(a.dy),
                              .q = a.q,
                              .k = a.k,
                              .v = a.v,
                              .document_start = in.document_start,
                              .y = BySequence(a.y),
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
    ctx.Run(MatmulBackward{.dy = a.dqkv, .x = a.n1, .w = p.qkv, .dx = a.dn1, .dw = g.qkv, .dbias = g.qkv_bias});
    ctx.Run(ResidualRmsNormBackward{
        .dy = a.dn1, .dsum = dx, .x = a.x1, .w = p.norm1, .rstd = a.rstd1, .dx = dx, .dw = g.norm1});
  }

  void BackwardEmbedding(Context& ctx, const NetworkInput& in) override {
    const Tensor dtable = View(memory_.gradients, kEmbedding);
    ctx.Run(EmbeddingBackward{.dy = final_.dx, .tokens = Rows(in.tokens), .dtable = dtable});
  }

  // x += before where given, then y = RMSNorm(x).
  void Norm(Context& ctx, const Tensor& x, const Tensor& before, const Tensor& w, const Tensor& y,
            const Tensor& rstd) const {
    ctx.Run(ResidualRmsNormForward{.x = x,
                                   .residual = before,
                                   .w = w,
                                   .sum = before.absent() ? Tensor() : x,
                                   .y = y,
                                   .rstd = rstd,
                                   .eps = memory_.dims.norm_eps});
  }

  std::vector<LlamaLayer> parameters_, gradients_;
};

}  // namespace

std::unique_ptr<Network> MakeLlama(const NetworkMemory& memory) { return std::make_unique<Llama>(memory); }

}  // namespace ingot
