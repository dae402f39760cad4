#include "tools/ingot/bench_cases.h"

#include <utility>

#include "core/base/status_macros.h"
#include "kernels/adamw.h"
#include "kernels/add.h"
#include "kernels/attention.h"
#include "kernels/cached_attention.h"
#include "kernels/cuda/gemm_fp8.h"
#include "kernels/embedding.h"
#include "kernels/fill.h"
#include "kernels/gelu.h"
#include "kernels/gelu_matmul.h"
#include "kernels/gradient_norm.h"
#include "kernels/lm_head_cross_entropy.h"
#include "kernels/matmul.h"
#include "kernels/matmul_fp8.h"
#include "kernels/qkv_rope.h"
#include "kernels/quantize_fp8.h"
#include "kernels/residual_layernorm.h"
#include "kernels/residual_rmsnorm.h"
#include "kernels/swiglu.h"
#include "kernels/swiglu_matmul.h"

namespace ingot {
namespace {

constexpr float kHeadScale = 1.0f / 16;  // logits of a model are a few units wide, not tens

std::string Shape(std::initializer_list<int64_t> sizes) {
  std::string text;
  for (const int64_t size : sizes) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

class Cases {
 public:
  Cases(const BenchModel& model, const Backend* backend, DType scalar, const CaseVisitor& visit)
      : m_(model),
        backend_(backend),
        device_(backend == nullptr ? Device::kCuda : backend->device()),
        scalar_(scalar),
        visit_(visit) {}

  absl::Status Visit(int group) {
    switch (group) {
      case 0:
        Embedding();
        break;
      case 1:
        m_.is_gpt2 ? LayerNormAndGelu() : RmsNormAndSwiglu();
        break;
      case 2:
        Matmul(m_.C, (m_.H + 2 * m_.K) * m_.D);
        break;
      case 3:
        Matmul(m_.C, m_.is_gpt2 ? m_.F : 2 * m_.F);
        m_.is_gpt2 ? GeluMatmul() : SwigluMatmul();
        break;
      case 4:
        Matmul(m_.H * m_.D, m_.C);
        break;
      case 5:
        Matmul(m_.F, m_.C);
        break;
      case 6:
        QkvRope();
        break;
      case 7:
        Attention();
        break;
      case 8:
        Generation();
        break;
      case 9:
        LmHead();
        break;
      case 10:
        Optimizer();
        break;
      case 11:
        RoundedToFp8();
        break;
    }
    return status_;
  }

 private:
  BenchMemory Group() const { return BenchMemory(backend_, scalar_); }
  bool HasFp8() const { return backend_ == nullptr || device_ == Device::kCpu || *cuda::WhyNoFp8() == '\0'; }

  template <typename Op>
  void Visit(const BenchMemory& memory, const std::string& shape, OpKind kind, const Op& op, double logit_bytes = 0,
             bool compared = true) {
    if (status_.ok()) status_ = memory.status();
    if (!status_.ok()) return;
    op.Check();
    int64_t scratch = 0;
    if constexpr (HasScratch<Op>) {
      if (device_ == Device::kCpu) scratch = op.ScratchBytes();
    }
    if constexpr (HasCudaScratch<Op>) {
      if (device_ == Device::kCuda) scratch = op.CudaScratchBytes();
    }
    status_ = visit_({.model = m_.name,
                      .op = Op::kName,
                      .shape = shape,
                      .kind = kind,
                      .compared = compared,
                      .work = op.Cost(),
                      .logit_bytes = logit_bytes,
                      .scratch_bytes = scratch,
                      .run = [&op](Context& context) { context.Run(op); },
                      .tensors = memory.tensors()});
  }

  void Embedding() {
    BenchMemory a = Group();
    const Tensor tokens = a.I32({m_.R()}, m_.V, 7919), y = a.Scalars({m_.R(), m_.C});
    const std::string shape = Shape({m_.R(), m_.C});
    Visit(a, shape, OpKind::kMemory, EmbeddingForward{.tokens = tokens, .table = a.Scalars({m_.V, m_.C}), .y = y});
    Visit(a, shape, OpKind::kMemory, EmbeddingBackward{.dy = y, .tokens = tokens, .dtable = a.F32({m_.V, m_.C})});
  }

  void LayerNormAndGelu() {
    BenchMemory a = Group();
    const int64_t R = m_.R(), C = m_.C, F = m_.F;
    const Tensor x = a.Scalars({R, C}), residual = a.Scalars({R, C}), sum = a.Scalars({R, C}), y = a.Scalars({R, C});
    const Tensor w = a.Scalars({C}), b = a.Scalars({C}), mean = a.F32({R}), rstd = a.Positive({R});
    Visit(a, Shape({R, C}), OpKind::kMemory,
          ResidualLayerNormForward{
              .x = x, .residual = residual, .w = w, .b = b, .sum = sum, .y = y, .mean = mean, .rstd = rstd});
    Visit(a, Shape({R, C}), OpKind::kMemory,
          ResidualLayerNormBackward{.dy = y,
                                    .dsum = residual,
                                    .x = sum,
                                    .w = w,
                                    .mean = mean,
                                    .rstd = rstd,
                                    .dx = x,
                                    .dw = a.F32({C}),
                                    .db = a.F32({C})});
    const Tensor wide = a.Scalars({R, F}), wide_y = a.Scalars({R, F}), wide_dx = a.Scalars({R, F});
    Visit(a, Shape({R, F}), OpKind::kMemory, GeluForward{.x = wide, .y = wide_y});
    Visit(a, Shape({R, F}), OpKind::kMemory, GeluBackward{.dy = wide_y, .x = wide, .dx = wide_dx});
  }

  void RmsNormAndSwiglu() {
    BenchMemory a = Group();
    const int64_t R = m_.R(), C = m_.C, F = m_.F;
    const Tensor x = a.Scalars({R, C}), residual = a.Scalars({R, C}), sum = a.Scalars({R, C}), y = a.Scalars({R, C});
    const Tensor w = a.Scalars({C}), rstd = a.Positive({R});
    Visit(a, Shape({R, C}), OpKind::kMemory,
          ResidualRmsNormForward{.x = x, .residual = residual, .w = w, .sum = sum, .y = y, .rstd = rstd});
    Visit(
        a, Shape({R, C}), OpKind::kMemory,
        ResidualRmsNormBackward{.dy = y, .dsum = residual, .x = sum, .w = w, .rstd = rstd, .dx = x, .dw = a.F32({C})});
    const Tensor gate_up = a.Scalars({R, 2 * F}), dgate_up = a.Scalars({R, 2 * F}), narrow = a.Scalars({R, F});
    Visit(a, Shape({R, F}), OpKind::kMemory, SwigluForward{.gate_up = gate_up, .y = narrow});
    Visit(a, Shape({R, F}), OpKind::kMemory, SwigluBackward{.dy = narrow, .gate_up = gate_up, .dgate_up = dgate_up});
  }

  void Matmul(int64_t I, int64_t O) {
    BenchMemory a = Group();
    const int64_t R = m_.R();
    const Tensor x = a.Scalars({R, I}), w = a.Scalars({O, I}), bias = a.Scalars({O}), y = a.Scalars({R, O});
    Visit(a, Shape({R, I, O}), OpKind::kProduct, MatmulForward{.x = x, .w = w, .bias = bias, .y = y});
    Visit(a, Shape({R, I, O}), OpKind::kProduct,
          MatmulBackward{.dy = y, .x = x, .w = w, .dx = a.Scalars({R, I}), .dw = a.F32({O, I}), .dbias = a.F32({O})});
    Visit(a, Shape({1, I, O}), OpKind::kProduct,
          MatmulForward{.x = a.Scalars({1, I}), .w = w, .bias = bias, .y = a.Scalars({1, O})});
    MatmulFp8(I, O);
  }

  // The same layer on operands of fp8, and what rounds an operand that no other op has rounded.
  void MatmulFp8(int64_t I, int64_t O) {
    if (!HasFp8()) return;
    BenchMemory a = Group();
    const int64_t R = m_.R();
    const Fp8Matrix x = a.Fp8(DType::kE4m3, R, I), w = a.Fp8(DType::kE4m3, O, I), dy = a.Fp8(DType::kE4m3, R, O);
    const Tensor y = a.Scalars({R, O}), dx = a.Scalars({R, I});
    Visit(a, Shape({R, I, O}), OpKind::kFp8Product, MatmulFp8Forward{.x = x, .w = w, .bias = a.Scalars({O}), .y = y});
    Visit(a, Shape({R, I, O}), OpKind::kFp8Product,
          MatmulFp8Backward{.dy = dy,
                            .x = x,
                            .w = w,
                            .dx = dx,
                            .dw = a.F32({O, I}),
                            .dy_values = a.Scalars({R, O}),
                            .dbias = a.F32({O})});
    Visit(a, Shape({R, I}), OpKind::kMemory, QuantizeFp8{.x = a.Scalars({R, I}), .y = x});
  }

  void GeluMatmul() {
    BenchMemory a = Group();
    const int64_t R = m_.R(), C = m_.C, F = m_.F;
    const Tensor narrow = a.Scalars({R, C}), pre = a.Scalars({R, F}), wide = a.Scalars({R, F});
    Visit(a, Shape({R, C, F}), OpKind::kProduct,
          GeluMatmulForward{.x = narrow, .w = a.Scalars({F, C}), .bias = a.Scalars({F}), .pre = pre, .y = wide});
    Visit(a, Shape({R, F, C}), OpKind::kProduct,
          GeluMatmulBackward{.dy = narrow,
                             .x = wide,
                             .w = a.Scalars({C, F}),
                             .pre = pre,
                             .dpre = a.Scalars({R, F}),
                             .dw = a.F32({C, F}),
                             .dbias = a.F32({C})});
  }

  void SwigluMatmul() {
    BenchMemory a = Group();
    const int64_t R = m_.R(), C = m_.C, F = m_.F;
    Visit(a, Shape({R, C, 2 * F}), OpKind::kProduct,
          SwigluMatmulForward{.x = a.Scalars({R, C}),
                              .w = a.Scalars({2 * F, C}),
                              .gate_up = a.Scalars({R, 2 * F}),
                              .y = a.Scalars({R, F})});
  }

  void QkvRope() {
    BenchMemory a = Group();
    const auto [name, is_gpt2, B, T, C, H, K, D, F, V] = m_;
    const Tensor qkv = a.Scalars({B, T, (H + 2 * K) * D}), q = a.Scalars({B, H, T, D}), k = a.Scalars({B, K, T, D});
    const Tensor v = a.Scalars({B, K, T, D}), angles = a.F32({T, D / 2, 2}), positions = a.I32({B, T}, T);
    const std::string shape = Shape({B, T, H + 2 * K, D});
    Visit(a, shape, OpKind::kMemory,
          QkvRopeForward{.qkv = qkv, .angles = angles, .positions = positions, .q = q, .k = k, .v = v});
    Visit(a, shape, OpKind::kMemory,
          QkvRopeBackward{.dq = q, .dk = k, .dv = v, .angles = angles, .positions = positions, .dqkv = qkv});
  }

  void Attention() {
    BenchMemory a = Group();
    const auto [name, is_gpt2, B, T, C, H, K, D, F, V] = m_;
    const Tensor q = a.Scalars({B, H, T, D}), k = a.Scalars({B, K, T, D}), v = a.Scalars({B, K, T, D});
    const Tensor y = a.Scalars({B, T, H * D}), dy = a.Scalars({B, T, H * D}), lse = a.F32({B, H, T});
    const std::string shape = Shape({B, H, T, D});
    Visit(a, shape, OpKind::kAttention, AttentionForward{.q = q, .k = k, .v = v, .y = y, .lse = lse});
    Visit(a, shape, OpKind::kAttentionBackward,
          AttentionBackward{.dy = dy,
                            .q = q,
                            .k = k,
                            .v = v,
                            .y = y,
                            .lse = lse,
                            .dq = a.Scalars({B, H, T, D}),
                            .dk = a.Scalars({B, K, T, D}),
                            .dv = a.Scalars({B, K, T, D})});
  }

  void Generation() {
    BenchMemory a = Group();
    const auto [name, is_gpt2, B, T, C, H, K, D, F, V] = m_;
    const Tensor k_cache = a.Scalars({K, T, D}), v_cache = a.Scalars({K, T, D});
    for (const int64_t N : {int64_t{1}, T / 2}) {
      Visit(a, Shape({H, N, D}) + " past " + std::to_string(T - N), OpKind::kAttention,
            CachedAttention{.q = a.Scalars({H, N, D}),
                            .k_new = a.Scalars({K, N, D}),
                            .v_new = a.Scalars({K, N, D}),
                            .k_cache = k_cache,
                            .v_cache = v_cache,
                            .y = a.Scalars({N, H * D}),
                            .past = T - N});
    }
  }

  void LmHead() {
    BenchMemory a = Group();
    const int64_t R = m_.R();
    const Tensor x = a.Scalars({R, m_.C}), w = a.Scalars({m_.V, m_.C}, kHeadScale), targets = a.I32({R}, m_.V, 7919);
    const Tensor losses = a.F32({R});
    const std::string shape = Shape({R, m_.C, m_.V});
    const double logits = static_cast<double>(R) * static_cast<double>(m_.V * SizeOf(scalar_));
    Visit(a, shape + " loss", OpKind::kHead, LmHeadCrossEntropy{.x = x, .w = w, .targets = targets, .losses = losses},
          logits);
    Visit(a, shape, OpKind::kHead,
          LmHeadCrossEntropy{.x = x,
                             .w = w,
                             .targets = targets,
                             .losses = losses,
                             .dx = a.Scalars({R, m_.C}),
                             .dw = a.F32({m_.V, m_.C}),
                             .scale = 1e-3f},
          2 * logits);
  }

  void Optimizer() {
    BenchMemory a = Group();
    const int64_t N = (m_.V + 12 * m_.C) * m_.C;  // an embedding and a layer
    const Tensor gradient = a.F32({N}), weights = a.F32({N}), m = a.F32({N}), v = a.Positive({N});
    const Tensor sums = a.F64((N + GradientNorm::kBlock - 1) / GradientNorm::kBlock);
    const Tensor sum = a.F32({N}), cleared = a.F32({N});
    Tensor copy;  // behind those that the CPU has too
    if (scalar_ == DType::kBf16 && device_ == Device::kCuda) copy = a.Scalars({N});
    Visit(a, Shape({N}), OpKind::kMemory,
          AdamW{.w = weights,
                .gradient = gradient,
                .m = m,
                .v = v,
                .w_bf16 = copy,
                .step = 10,
                .learning_rate = 1e-4f,
                .beta1 = 0.9f,
                .beta2 = 0.95f,
                .eps = 1e-8f,
                .weight_decay = 0.1f});
    Visit(a, Shape({N}), OpKind::kMemory, GradientNorm{.x = gradient, .block_sums = sums});
    Visit(a, Shape({N}), OpKind::kMemory, Fill{.y = gradient, .value = 0});
    Visit(a, Shape({N}), OpKind::kMemory, Add{.x = gradient, .y = sum});
    Visit(a, Shape({N}), OpKind::kMemory, AddAndClear{.x = cleared, .y = gradient});
  }

  // The activations and the head with outputs in fp8.
  void RoundedToFp8() {
    if (!HasFp8()) return;
    BenchMemory a = Group();
    const int64_t R = m_.R(), F = m_.F, O = m_.is_gpt2 ? F : 2 * F;
    const Tensor wide = a.Scalars({R, O}), dy = a.Scalars({R, F});
    const Fp8Matrix y8 = a.Fp8(DType::kE4m3, R, F), dx8 = a.Fp8(DType::kE5m2, R, O);
    const std::string shape = Shape({R, F}) + " fp8";
    const auto visit = [&](const auto& op) { Visit(a, shape, OpKind::kMemory, op, 0, /*compared=*/false); };
    if (m_.is_gpt2) {
      visit(GeluForward{.x = wide, .y8 = y8});
      visit(GeluBackward{.dy = dy, .x = wide, .dx8 = dx8});
    } else {
      visit(SwigluForward{.gate_up = wide, .y8 = y8});
      visit(SwigluBackward{.dy = dy, .gate_up = wide, .dgate_up8 = dx8});
    }
    Fp8Head();
  }

  void Fp8Head() {
    BenchMemory a = Group();
    const int64_t R = m_.R(), C = m_.C, V = m_.V;
    // Logits are read for the rows' sums and again for dz, which is written in both directions.
    const double logit_bytes = static_cast<double>(R) * static_cast<double>(V * (2 * SizeOf(scalar_) + 2));
    Visit(a, Shape({R, C, V}) + " fp8", OpKind::kFp8Head,
          LmHeadCrossEntropy{.x = a.Scalars({R, C}, kHeadScale),
                             .targets = a.I32({R}, V, 7919),
                             .losses = a.F32({R}),
                             .dx = a.Scalars({R, C}),
                             .dw = a.F32({V, C}),
                             .w8 = a.Fp8(DType::kE4m3, V, C),
                             .scale = 1e-3f},
          logit_bytes, /*compared=*/false);
  }

  const BenchModel& m_;
  const Backend* backend_;
  Device device_;
  DType scalar_;
  const CaseVisitor& visit_;
  absl::Status status_;
};

}  // namespace

absl::Status VisitGroup(const BenchModel& model, int group, const Backend* backend, DType scalar,
                        const CaseVisitor& visit) {
  return Cases(model, backend, scalar, visit).Visit(group);
}

absl::Status VisitKernelCases(const BenchModel& model, const Backend* backend, DType scalar, const CaseVisitor& visit) {
  for (int group = 0; group < kBenchGroups; ++group) {
    INGOT_RETURN_IF_ERROR(VisitGroup(model, group, backend, scalar, visit));
  }
  return absl::OkStatus();
}

}  // namespace ingot
