// GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"): LayerNorm before each half of a
// block and after the last, learned positions, GELU in its tanh form, biases everywhere but in the head.
#include "core/model/network.h"
#include "kernels/attention.h"
#include "kernels/embedding.h"
#include "kernels/gelu.h"
#include "kernels/gelu_matmul.h"
#include "kernels/qkv_rope.h"
#include "kernels/residual_layernorm.h"

namespace ingot {
namespace {

struct Affine {
  Tensor w, bias;  // (O, I), (O); of a norm (C), (C)
};

struct Gpt2Layer {
  Affine norm1, qkv, projection;  // (C), (3C, C), (C, C)
  Affine norm2, up, down;         // (C), (F, C), (C, F)
};

class Gpt2 : public Network {
 public:
  explicit Gpt2(const NetworkMemory& memory) : Network(memory, kEmbedding) {
    for (int64_t l = 0; l < memory_.dims.L; ++l) {
      parameters_.push_back(LayerOf(memory_.parameters, l));
      gradients_.push_back(LayerOf(memory_.gradients, l));
    }
  }

 private:
  static constexpr char kEmbedding[] = "transformer.wte.weight";
  static constexpr char kPositions[] = "transformer.wpe.weight";
  static constexpr char kFinalNorm[] = "transformer.ln_f";

  Affine Both(const FlatBuffer& flat, const std::string& name) const {
    return {View(flat, name + ".weight"), View(flat, name + ".bias")};
  }

  Gpt2Layer LayerOf(const FlatBuffer& flat, int64_t l) const {
    const std::string block = "transformer.h." + std::to_string(l) + ".";
    return {.norm1 = Both(flat, block + "ln_1"),
            .qkv = Both(flat, block + "attn.c_attn"),
            .projection = Both(flat, block + "attn.c_proj"),
            .norm2 = Both(flat, block + "ln_2"),
            .up = Both(flat, block + "mlp.c_fc"),
            .down = Both(flat, block + "mlp.c_proj")};
  }

  void Embed(Context& ctx, const NetworkInput& in) override {
    const Tensor table = View(memory_.parameters, kEmbedding), positions = View(memory_.parameters, kPositions);
    ctx.Run(EmbeddingForward{.tokens = Rows(in.tokens),
                             .table = table,
                             .positions = Rows(in.positions),
                             .position_table = positions,
                             .y = blocks_[0].x1});
  }

  void ForwardAttention(Context& ctx, const NetworkInput& in, int64_t l, const Tensor& before) override {
    const Gpt2Layer& p = parameters_[l];
    const BlockActivations& a = blocks_[l];
    Norm(ctx, a.x1, before, p.norm1, a.n1, a.mean1, a.rstd1);
    LinearForward{.x = a.n1, .w = Weight(l, Fp8Weights::kQkv), .bias = p.qkv.bias, .y = a.qkv}.Run(ctx);
    ctx.Run(QkvRopeForward{.qkv = BySequence(a.qkv), .q = a.q, .k = a.k, .v = a.v});
    Attend(ctx, in, l);
    Round(ctx, a.y);
    LinearForward{.x = a.y, .w = Weight(l, Fp8Weights::kProjection), .bias = p.projection.bias, .y = a.x2}.Run(ctx);
  }

  void ForwardUp(Context& ctx, int64_t l, const Tensor& before) override {
    const Gpt2Layer& p = parameters_[l];
    const BlockActivations& a = blocks_[l];
    Norm(ctx, a.x2, before, p.norm2, a.n2, a.mean2, a.rstd2);
    if (a.h.fp8.absent()) {
      return ctx.Run(GeluMatmulForward{.x = a.n2.values,
                                       .w = p.up.w,
                                       .bias = p.up.bias,
                                       .pre = a.up,
                                       .y = a.h.values,
                                       .in_parts = memory_.shape.recompute_mlp});
    }
    LinearForward{.x = a.n2, .w = Weight(l, Fp8Weights::kUp), .bias = p.up.bias, .y = a.up}.Run(ctx);
    ctx.Run(GeluForward{.x = a.up, .y8 = a.h.fp8});
  }

  void ForwardDown(Context& ctx, int64_t l) override {
    LinearForward{
        .x = blocks_[l].h, .w = Weight(l, Fp8Weights::kDown), .bias = parameters_[l].down.bias, .y = StreamAfter(l)}
        .Run(ctx);
  }

  void ForwardFinalNorm(Context& ctx) override {
    const Affine norm = Both(memory_.parameters, kFinalNorm);
    Norm(ctx, final_.x, blocks_.back().x2, norm, {final_.n}, final_.mean, final_.rstd);
  }

  void BackwardFinalNorm(Context& ctx) override {
    const Affine p = Both(memory_.parameters, kFinalNorm), g = Both(memory_.gradients, kFinalNorm);
    BackwardNorm(ctx, dx(), Tensor(), final_.x, p, final_.mean, final_.rstd, g);
  }

  void RecomputeMlp(Context& ctx, int64_t l) override {
    const BlockActivations& a = blocks_[l];
    Norm(ctx, a.x2, Tensor(), parameters_[l].norm2, a.n2, a.mean2, a.rstd2);
    ctx.Run(GeluForward{.x = a.up, .y = a.h.values, .y8 = a.h.fp8});
  }

  void BackwardFeedForward(Context& ctx, int64_t l) override {
    const Gpt2Layer &p = parameters_[l], &g = gradients_[l];
    const BlockActivations& a = blocks_[l];
    BackwardDown(ctx, l);
    LinearBackward{
        .dy = a.dup, .x = a.n2, .w = Weight(l, Fp8Weights::kUp), .dx = a.dn2, .dw = g.up.w, .dbias = g.up.bias}
        .Run(ctx);
    BackwardNorm(ctx, a.dn2, dx(), a.x2, p.norm2, a.mean2, a.rstd2, g.norm2);
  }

  // The last product and the activation before it.
  void BackwardDown(Context& ctx, int64_t l) {
    const Affine &p = parameters_[l].down, &g = gradients_[l].down;
    const BlockActivations& a = blocks_[l];
    if (a.h.fp8.absent()) {
      return ctx.Run(GeluMatmulBackward{
          .dy = dx(), .x = a.h.values, .w = p.w, .pre = a.up, .dpre = a.dh, .dw = g.w, .dbias = g.bias});
    }
    Round(ctx, final_.dx);
    LinearBackward{.dy = final_.dx, .x = a.h, .w = Weight(l, Fp8Weights::kDown), .dx = a.dh, .dw = g.w, .dbias = g.bias}
        .Run(ctx);
    ctx.Run(GeluBackward{.dy = a.dh, .x = a.up, .dx = a.dh, .dx8 = a.dup.fp8});
  }

  void BackwardAttention(Context& ctx, const NetworkInput& in, int64_t l) override {
    const Gpt2Layer &p = parameters_[l], &g = gradients_[l];
    const BlockActivations& a = blocks_[l];
    Round(ctx, final_.dx);
    LinearBackward{.dy = final_.dx,
                   .x = a.y,
                   .w = Weight(l, Fp8Weights::kProjection),
                   .dx = a.dy,
                   .dw = g.projection.w,
                   .dbias = g.projection.bias}
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
    ctx.Run(QkvRopeBackward{.dq = a.dq, .dk = a.dk, .dv = a.dv, .dqkv = BySequence(a.dqkv.values)});
    Round(ctx, a.dqkv);
    LinearBackward{
        .dy = a.dqkv, .x = a.n1, .w = Weight(l, Fp8Weights::kQkv), .dx = a.dn1, .dw = g.qkv.w, .dbias = g.qkv.bias}
        .Run(ctx);
    BackwardNorm(ctx, a.dn1, dx(), a.x1, p.norm1, a.mean1, a.rstd1, g.norm1);
  }

  void BackwardEmbedding(Context& ctx, const NetworkInput& in) override {
    const Tensor dtable = View(memory_.gradients, kEmbedding), dpositions = View(memory_.gradients, kPositions);
    ctx.Run(EmbeddingBackward{.dy = dx(),
                              .tokens = Rows(in.tokens),
                              .dtable = dtable,
                              .positions = Rows(in.positions),
                              .dposition_table = dpositions});
  }

  Tensor BlockWeight(int64_t l, Fp8Weights::Matrix matrix) const override {
    const Gpt2Layer& p = parameters_[l];
    const Tensor weights[Fp8Weights::kMatrices] = {p.qkv.w, p.projection.w, p.up.w, p.down.w};
    return weights[matrix];
  }

  // x += before where given, then y = LayerNorm(x).
  void Norm(Context& ctx, const Tensor& x, const Tensor& before, const Affine& p, const Operand& y, const Tensor& mean,
            const Tensor& rstd) const {
    ctx.Run(ResidualLayerNormForward{.x = x,
                                     .residual = before,
                                     .w = p.w,
                                     .b = p.bias,
                                     .sum = before.absent() ? Tensor() : x,
                                     .y = y.values,
                                     .y8 = y.fp8,
                                     .mean = mean,
                                     .rstd = rstd,
                                     .eps = memory_.dims.norm_eps});
  }

  // Into the gradient of the stream: dx = dsum + the norm's gradient.
  void BackwardNorm(Context& ctx, const Tensor& dy, const Tensor& dsum, const Tensor& x, const Affine& p,
                    const Tensor& mean, const Tensor& rstd, const Affine& g) const {
    ctx.Run(ResidualLayerNormBackward{
        .dy = dy, .dsum = dsum, .x = x, .w = p.w, .mean = mean, .rstd = rstd, .dx = dx(), .dw = g.w, .db = g.bias});
  }

  std::vector<Gpt2Layer> parameters_, gradients_;
};

}  // namespace

std::unique_ptr<Network> MakeGpt2(const NetworkMemory& memory) { return std::make_unique<Gpt2>(memory); }

}  // namespace ingot
