#include "core/model/network.h"

#include <utility>

#include "kernels/attention.h"
#include "kernels/cached_attention.h"

namespace ingot {

Network::Network(const NetworkMemory& memory, const std::string& embedding_name)
    : memory_(memory), head_name_(memory.dims.tied_embeddings ? embedding_name : "lm_head.weight") {
  for (int64_t l = 0; l < memory_.dims.L; ++l) blocks_.push_back(ActivationsOf(l));
  const auto view = [&](const char* name) { return memory_.plan.View(memory_.activations, name, 0); };
  final_ = {.x = view("final_x"),
            .mean = view("final_mean"),
            .rstd = view("final_rstd"),
            .n = view("final_n"),
            .dx = OperandOf("dx", 0)};
}

std::unique_ptr<Network> Network::Create(const NetworkMemory& memory) {
  return memory.dims.architecture == Architecture::kLlama ? MakeLlama(memory) : MakeGpt2(memory);
}

BlockActivations Network::ActivationsOf(int64_t l) const {
  const auto view = [&](const char* name) { return memory_.plan.View(memory_.activations, name, l); };
  BlockActivations a = {.x1 = view("x1"),
                        .mean1 = view("mean1"),
                        .rstd1 = view("rstd1"),
                        .n1 = OperandOf("n1", l),
                        .qkv = view("qkv"),
                        .q = view("q"),
                        .k = view("k"),
                        .v = view("v"),
                        .lse = view("lse"),
                        .y = OperandOf("y", l),
                        .x2 = view("x2"),
                        .mean2 = view("mean2"),
                        .rstd2 = view("rstd2"),
                        .n2 = OperandOf("n2", l),
                        .up = view("up"),
                        .h = OperandOf("h", l),
                        .dh = view("dh"),
                        .dn2 = view("dn2"),
                        .dy = view("dy"),
                        .dq = view("dq"),
                        .dk = view("dk"),
                        .dv = view("dv"),
                        .dn1 = view("dn1"),
                        .dup = OperandOf("dup", l),
                        .dqkv = OperandOf("dqkv", l)};
  a.dup.values = memory_.dims.architecture == Architecture::kLlama ? a.up : a.dh;
  if (memory_.dims.qk_norm) a.dqkv.values = a.qkv;  // kept for the norms' backward, which writes over it
  return a;
}

Operand Network::OperandOf(const std::string& name, int64_t l) const {
  const auto view = [&](const char* part) { return memory_.plan.View(memory_.activations, name + part, l); };
  return {view(""), {.rows = view(".rows"), .columns = view(".columns"), .scales = view(".scales")}};
}

void Network::RoundWeights(Context& ctx) {
  for (int64_t l = 0; l < memory_.dims.L; ++l) {
    for (int matrix = 0; matrix < Fp8Weights::kMatrices; ++matrix) {
      Round(ctx, Weight(l, static_cast<Fp8Weights::Matrix>(matrix)));
    }
  }
  Round(ctx, {head(), fp8_head()});
}

Tensor Network::View(const FlatBuffer& buffer, const std::string& name) const { return JointView(buffer, {name}); }

Tensor Network::JointView(const FlatBuffer& buffer, const std::vector<std::string>& names) const {
  const auto spec = [&](const std::string& name) -> const ParameterSpec& {
    const int i = memory_.table.Find(name);
    INGOT_CHECK(i >= 0, "no parameter %s", name.c_str());
    return memory_.table.specs[i];
  };
  ParameterSpec joint = spec(names[0]);
  for (size_t i = 1; i < names.size(); ++i) {
    const ParameterSpec& next = spec(names[i]);
    INGOT_CHECK(next.offset == joint.offset + Count(joint), "%s does not follow its neighbour", names[i].c_str());
    joint.shape[0] += next.shape[0];
  }
  if (buffer.windows != nullptr) joint.offset = buffer.windows->PlaceOf(memory_.table.Find(names[0]));
  return buffer.flat.absent() ? Tensor() : ViewOf(buffer.flat, joint);
}

void Network::Attend(Context& ctx, const NetworkInput& input, int64_t l) const {
  const BlockActivations& a = blocks_[l];
  const int64_t B = memory_.shape.B, T = memory_.shape.T, H = memory_.dims.H, K = memory_.dims.K, D = memory_.dims.D;
  if (memory_.cache == nullptr) {
    return ctx.Run(AttentionForward{.q = a.q,
                                    .k = a.k,
                                    .v = a.v,
                                    .document_start = input.document_start,
                                    .y = Reshaped(a.y.values, {B, T, H * D}),
                                    .lse = a.lse});
  }
  const KvCache& cache = *memory_.cache;
  const int64_t P = cache.k.dim(2), size = K * P * D;
  ctx.Run(CachedAttention{.q = Reshaped(a.q, {H, T, D}),
                          .k_new = Reshaped(a.k, {K, T, D}),
                          .v_new = Reshaped(a.v, {K, T, D}),
                          .k_cache = Slice(cache.k, l * size, {K, P, D}),
                          .v_cache = Slice(cache.v, l * size, {K, P, D}),
                          .y = a.y.values,
                          .past = cache.length});
}

void Network::Forward(Context& ctx, const NetworkInput& input) {
  Embed(ctx, input);
  for (int64_t l = 0; l < memory_.dims.L; ++l) {
    if (hooks_ != nullptr) hooks_->BeforeForward(l, l + 1 < memory_.dims.L ? l + 1 : -1);
    ForwardAttention(ctx, input, l, l == 0 ? Tensor() : blocks_[l - 1].x2);
    ForwardUp(ctx, l, blocks_[l].x1);
    ForwardDown(ctx, l);
  }
  ForwardFinalNorm(ctx);
}

void Network::Backward(Context& ctx, const NetworkInput& input) {
  BackwardFinalNorm(ctx);
  for (int64_t l = memory_.dims.L - 1; l >= 0; --l) {
    if (hooks_ != nullptr) hooks_->BeforeBackward(l, l - 1);
    if (memory_.shape.recompute_block) {
      RecomputeBlock(ctx, input, l);
    } else if (memory_.shape.recompute_mlp) {
      RecomputeMlp(ctx, l);
    }
    BackwardFeedForward(ctx, l);
    BackwardAttention(ctx, input, l);
    if (hooks_ != nullptr) hooks_->AfterBackward(l);
  }
  BackwardEmbedding(ctx, input);
  if (hooks_ != nullptr) hooks_->AfterBackward(memory_.dims.L);
}

// x1 is kept and complete; all else of the block comes from it again. The last product is left out: nothing needs it.
void Network::RecomputeBlock(Context& ctx, const NetworkInput& input, int64_t l) {
  ForwardAttention(ctx, input, l, Tensor());
  ForwardUp(ctx, l, blocks_[l].x1);
}

}  // namespace ingot
