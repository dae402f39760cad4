// ingot bench kernels: every op at the shapes of real models, as a share of the roof measured in the same run.
#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/adamw.h"
#include "kernels/add.h"
#include "kernels/attention.h"
#include "kernels/cached_attention.h"
#include "kernels/cpu/blas.h"
#include "kernels/cpu/roof.h"
#include "kernels/embedding.h"
#include "kernels/fill.h"
#include "kernels/gelu.h"
#include "kernels/gradient_norm.h"
#include "kernels/lm_head_cross_entropy.h"
#include "kernels/matmul.h"
#include "kernels/qkv_rope.h"
#include "kernels/residual_layernorm.h"
#include "kernels/residual_rmsnorm.h"
#include "kernels/swiglu.h"
#include "tools/ingot/bench.h"

namespace ingot {
namespace {

struct Dims {
  const char* name;
  int64_t B, T, C, H, K, D, F, V;
  int64_t R() const { return B * T; }
};

struct Result {
  std::string model, op, shape;
  double milliseconds, gigabytes_per_second, gigaflops, share;
};

// Memory of the tensors of one group of ops, freed together.
class Memory {
 public:
  // Values that look random, the same for every call.
  Tensor F32(std::initializer_list<int64_t> shape) {
    Tensor t(nullptr, DType::kF32, shape);
    float* const x = Take(t);
    const int64_t count = Count(t);
#pragma omp parallel for
    for (int64_t i = 0; i < count; ++i) x[i] = static_cast<float>((i * 2654435761u >> 8) % 2048) / 1024.0f - 1.0f;
    return t;
  }
  // Non-negative values, as second moments and reciprocal deviations are.
  Tensor Positive(std::initializer_list<int64_t> shape) {
    const Tensor t = F32(shape);
    float* const x = t.data<float>();
    for (int64_t i = 0; i < Count(t); ++i) x[i] = 0.5f + 0.25f * x[i];
    return t;
  }
  Tensor Bytes(int64_t count) {
    Tensor t(nullptr, DType::kU8, {count});
    Take(t);
    return t;
  }
  Tensor F64(int64_t count) {
    Tensor t(nullptr, DType::kF64, {count});
    Take(t);
    return t;
  }
  // i * step modulo `limit`.
  Tensor I32(std::initializer_list<int64_t> shape, int64_t limit, int64_t step = 1) {
    Tensor t(nullptr, DType::kI32, shape);
    Take(t);
    for (int64_t i = 0; i < Count(t); ++i) t.data<int32_t>()[i] = static_cast<int32_t>(i * step % limit);
    return t;
  }

 private:
  float* Take(Tensor& t) {
    const int64_t bytes = ingot::Bytes(t);
    blocks_.emplace_back(new char[bytes + 64]);
    char* const block = blocks_.back().get();
    t.ptr = block + (64 - reinterpret_cast<uintptr_t>(block) % 64) % 64;
    return static_cast<float*>(t.ptr);
  }
  std::vector<std::unique_ptr<char[]>> blocks_;
};

class KernelBench {
 public:
  KernelBench(std::string filter, double seconds)
      : filter_(std::move(filter)), seconds_(seconds), peak_(MeasureSgemmPeak()), bandwidth_(MeasureCopyBandwidth()) {}

  void Model(const Dims& m) {
    Embedding(m);
    if (std::string(m.name) == "gpt2_124m") {
      LayerNormAndGelu(m);
      Matmul(m, m.C, 3 * m.C);
      Matmul(m, m.C, m.F);
    } else {
      RmsNormAndSwiglu(m);
      Matmul(m, m.C, (m.H + 2 * m.K) * m.D);
      Matmul(m, m.C, 2 * m.F);
    }
    Matmul(m, m.C, m.C);
    Matmul(m, m.F, m.C);
    QkvRope(m);
    Attention(m);
    Generation(m);
    LmHead(m);
    Optimizer(m);
  }

  const std::vector<Result>& results() const { return results_; }
  double peak() const { return peak_; }
  double bandwidth() const { return bandwidth_; }

 private:
  // Median of repeated runs. The share is that of the time which the roof allows: the larger of the arithmetic at the
  // sgemm peak and the bytes at the copy's speed. Tensors that stay in cache can exceed it.
  template <typename Op>
  void Time(const Dims& m, const std::string& shape, const Op& op) {
    using Clock = std::chrono::steady_clock;
    if ((std::string(m.name) + " " + Op::kName).find(filter_) == std::string::npos) return;
    Memory scratch;
    Context context;
    if constexpr (HasScratch<Op>) context = Context(scratch.Bytes(op.ScratchBytes()));
    context.Run(op);
    std::vector<double> times;
    for (double total = 0; total < seconds_ || times.size() < 5; total += times.back()) {
      const Clock::time_point start = Clock::now();
      context.Run(op);
      times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
    const double median = times[times.size() / 2];
    const Work work = op.Cost();
    const double bound = std::max(work.flops / peak_, work.bytes / bandwidth_);
    results_.push_back(
        {m.name, Op::kName, shape, median * 1e3, work.bytes / median / 1e9, work.flops / median / 1e9, bound / median});
  }

  static std::string Shape(std::initializer_list<int64_t> sizes) {
    std::string text;
    for (const int64_t size : sizes) text += (text.empty() ? "" : "x") + std::to_string(size);
    return text;
  }

  void Embedding(const Dims& m) {
    Memory a;
    const Tensor tokens = a.I32({m.R()}, m.V, 7919), table = a.F32({m.V, m.C}), y = a.F32({m.R(), m.C});
    Time(m, Shape({m.R(), m.C}), EmbeddingForward{.tokens = tokens, .table = table, .y = y});
    Time(m, Shape({m.R(), m.C}), EmbeddingBackward{.dy = y, .tokens = tokens, .dtable = table});
  }

  void LayerNormAndGelu(const Dims& m) {
    Memory a;
    const int64_t R = m.R();
    const Tensor x = a.F32({R, m.C}), residual = a.F32({R, m.C}), sum = a.F32({R, m.C}), y = a.F32({R, m.C});
    const Tensor w = a.F32({m.C}), b = a.F32({m.C}), mean = a.F32({R}), rstd = a.Positive({R});
    Time(m, Shape({R, m.C}),
         ResidualLayerNormForward{
             .x = x, .residual = residual, .w = w, .b = b, .sum = sum, .y = y, .mean = mean, .rstd = rstd});
    Time(m, Shape({R, m.C}),
         ResidualLayerNormBackward{.dy = y,
                                   .dsum = residual,
                                   .x = sum,
                                   .w = w,
                                   .mean = mean,
                                   .rstd = rstd,
                                   .dx = x,
                                   .dw = a.F32({m.C}),
                                   .db = a.F32({m.C})});
    const Tensor wide = a.F32({R, m.F}), wide_y = a.F32({R, m.F}), wide_dx = a.F32({R, m.F});
    Time(m, Shape({R, m.F}), GeluForward{.x = wide, .y = wide_y});
    Time(m, Shape({R, m.F}), GeluBackward{.dy = wide_y, .x = wide, .dx = wide_dx});
  }

  void RmsNormAndSwiglu(const Dims& m) {
    Memory a;
    const int64_t R = m.R();
    const Tensor x = a.F32({R, m.C}), residual = a.F32({R, m.C}), sum = a.F32({R, m.C}), y = a.F32({R, m.C});
    const Tensor w = a.F32({m.C}), rstd = a.Positive({R});
    Time(m, Shape({R, m.C}),
         ResidualRmsNormForward{.x = x, .residual = residual, .w = w, .sum = sum, .y = y, .rstd = rstd});
    Time(m, Shape({R, m.C}),
         ResidualRmsNormBackward{
             .dy = y, .dsum = residual, .x = sum, .w = w, .rstd = rstd, .dx = x, .dw = a.F32({m.C})});
    const Tensor gate_up = a.F32({R, 2 * m.F}), dgate_up = a.F32({R, 2 * m.F}), narrow = a.F32({R, m.F});
    Time(m, Shape({R, m.F}), SwigluForward{.gate_up = gate_up, .y = narrow});
    Time(m, Shape({R, m.F}), SwigluBackward{.dy = narrow, .gate_up = gate_up, .dgate_up = dgate_up});
  }

  void Matmul(const Dims& m, int64_t I, int64_t O) {
    Memory a;
    const int64_t R = m.R();
    const Tensor x = a.F32({R, I}), w = a.F32({O, I}), bias = a.F32({O}), y = a.F32({R, O});
    Time(m, Shape({R, I, O}), MatmulForward{.x = x, .w = w, .bias = bias, .y = y});
    Time(m, Shape({R, I, O}),
         MatmulBackward{.dy = y, .x = x, .w = w, .dx = a.F32({R, I}), .dw = a.F32({O, I}), .dbias = a.F32({O})});
    Time(m, Shape({1, I, O}), MatmulForward{.x = a.F32({1, I}), .w = w, .bias = bias, .y = a.F32({1, O})});
  }

  void QkvRope(const Dims& m) {
    Memory a;
    const auto [name, B, T, C, H, K, D, F, V] = m;
    const Tensor qkv = a.F32({B, T, (H + 2 * K) * D}), q = a.F32({B, H, T, D}), k = a.F32({B, K, T, D});
    const Tensor v = a.F32({B, K, T, D}), angles = a.F32({T, D / 2, 2}), positions = a.I32({B, T}, T);
    const std::string shape = Shape({B, T, H + 2 * K, D});
    Time(m, shape, QkvRopeForward{.qkv = qkv, .angles = angles, .positions = positions, .q = q, .k = k, .v = v});
    Time(m, shape, QkvRopeBackward{.dq = q, .dk = k, .dv = v, .angles = angles, .positions = positions, .dqkv = qkv});
  }

  void Attention(const Dims& m) {
    Memory a;
    const auto [name, B, T, C, H, K, D, F, V] = m;
    const Tensor q = a.F32({B, H, T, D}), k = a.F32({B, K, T, D}), v = a.F32({B, K, T, D}), y = a.F32({B, T, H * D});
    const Tensor dy = a.F32({B, T, H * D}), lse = a.F32({B, H, T});
    const std::string shape = Shape({B, H, T, D});
    Time(m, shape, AttentionForward{.q = q, .k = k, .v = v, .y = y, .lse = lse});
    Time(m, shape,
         AttentionBackward{.dy = dy,
                           .q = q,
                           .k = k,
                           .v = v,
                           .y = y,
                           .lse = lse,
                           .dq = a.F32({B, H, T, D}),
                           .dk = a.F32({B, K, T, D}),
                           .dv = a.F32({B, K, T, D})});
  }

  void Generation(const Dims& m) {
    Memory a;
    const auto [name, B, T, C, H, K, D, F, V] = m;
    const Tensor k_cache = a.F32({K, T, D}), v_cache = a.F32({K, T, D});
    for (const int64_t N : {int64_t{1}, T / 2}) {
      Time(m, Shape({H, N, D}) + " past " + std::to_string(T - N),
           CachedAttention{.q = a.F32({H, N, D}),
                           .k_new = a.F32({K, N, D}),
                           .v_new = a.F32({K, N, D}),
                           .k_cache = k_cache,
                           .v_cache = v_cache,
                           .y = a.F32({N, H * D}),
                           .past = T - N});
    }
  }

  void LmHead(const Dims& m) {
    Memory a;
    const int64_t R = m.R();
    const Tensor x = a.F32({R, m.C}), w = a.F32({m.V, m.C}), targets = a.I32({R}, m.V, 7919), losses = a.F32({R});
    const std::string shape = Shape({R, m.C, m.V});
    Time(m, shape + " loss", LmHeadCrossEntropy{.x = x, .w = w, .targets = targets, .losses = losses});
    Time(m, shape,
         LmHeadCrossEntropy{.x = x,
                            .w = w,
                            .targets = targets,
                            .losses = losses,
                            .dx = a.F32({R, m.C}),
                            .dw = a.F32({m.V, m.C}),
                            .scale = 1e-3f});
  }

  void Optimizer(const Dims& m) {
    Memory a;
    const int64_t N = (m.V + 12 * m.C) * m.C;  // an embedding and a layer
    const Tensor gradient = a.F32({N});
    Time(m, Shape({N}),
         AdamW{.w = a.F32({N}),
               .gradient = gradient,
               .m = a.F32({N}),
               .v = a.Positive({N}),
               .step = 10,
               .learning_rate = 1e-4f,
               .beta1 = 0.9f,
               .beta2 = 0.95f,
               .eps = 1e-8f,
               .weight_decay = 0.1f});
    Time(m, Shape({N}),
         GradientNorm{.x = gradient, .block_sums = a.F64((N + GradientNorm::kBlock - 1) / GradientNorm::kBlock)});
    Time(m, Shape({N}), Fill{.y = gradient, .value = 0});
    Time(m, Shape({N}), Add{.x = gradient, .y = a.F32({N})});
  }

  std::string filter_;
  double seconds_, peak_, bandwidth_;
  std::vector<Result> results_;
};

void PrintTable(const KernelBench& bench) {
  std::printf("BLAS %s, %d threads; roof: %.0f GFLOP/s (sgemm of 2048), %.1f GB/s (copy, read + written)\n",
              BlasName().c_str(), omp_get_max_threads(), bench.peak() / 1e9, bench.bandwidth() / 1e9);
  std::printf("%-11s %-28s %-22s %10s %8s %8s %6s\n", "model", "op", "shape", "ms", "GB/s", "GFLOP/s", "roof");
  for (const Result& r : bench.results()) {
    std::printf("%-11s %-28s %-22s %10.3f %8.1f %8.1f %5.0f%%\n", r.model.c_str(), r.op.c_str(), r.shape.c_str(),
                r.milliseconds, r.gigabytes_per_second, r.gigaflops, 100 * r.share);
  }
}

void PrintJson(const KernelBench& bench) {
  nlohmann::json ops = nlohmann::json::array();
  for (const Result& r : bench.results()) {
    ops.push_back({{"model", r.model},
                   {"op", r.op},
                   {"shape", r.shape},
                   {"milliseconds", r.milliseconds},
                   {"gigabytes_per_second", r.gigabytes_per_second},
                   {"gigaflops", r.gigaflops},
                   {"share_of_roof", r.share}});
  }
  const nlohmann::json all = {{"blas", BlasName()},
                              {"threads", omp_get_max_threads()},
                              {"sgemm_peak_gigaflops", bench.peak() / 1e9},
                              {"copy_gigabytes_per_second", bench.bandwidth() / 1e9},
                              {"ops", ops}};
  std::printf("%s\n", all.dump(2).c_str());
}

struct Options {
  bool json = false;
  std::string filter;
  double seconds = 0.2;
};

void RunBench(const Options& options) {
  KernelBench bench(options.filter, options.seconds);
  bench.Model({.name = "gpt2_124m", .B = 1, .T = 1024, .C = 768, .H = 12, .K = 12, .D = 64, .F = 3072, .V = 50304});
  bench.Model({.name = "llama_10m", .B = 4, .T = 256, .C = 256, .H = 4, .K = 2, .D = 64, .F = 768, .V = 4096});
  options.json ? PrintJson(bench) : PrintTable(bench);
}

}  // namespace

void AddBenchKernels(CLI::App& bench) {
  auto options = std::make_shared<Options>();
  CLI::App* const command = bench.add_subcommand("kernels", "Every op at the shapes of a 124M and a 10M model");
  command->add_flag("--json", options->json, "Print JSON instead of a table");
  command->add_option("--filter", options->filter, "Only ops whose \"model op\" contains this text");
  command->add_option("--seconds", options->seconds, "Measure each op for about this long")
      ->check(CLI::Range(0.001, 60.0))
      ->capture_default_str();
  command->callback([options] { RunBench(*options); });
}

}  // namespace ingot
