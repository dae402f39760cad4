#include "tools/ingot/bench_models.h"

namespace ingot {
namespace {

constexpr BenchModel kGpt2 = {.name = "gpt2_124m",
                              .is_gpt2 = true,
                              .B = 1,
                              .T = 1024,
                              .C = 768,
                              .H = 12,
                              .K = 12,
                              .D = 64,
                              .F = 3072,
                              .V = 50304};
constexpr BenchModel kLlama10m = {
    .name = "llama_10m", .is_gpt2 = false, .B = 4, .T = 256, .C = 256, .H = 4, .K = 2, .D = 64, .F = 768, .V = 4096};
constexpr BenchModel kQwen05b = {.name = "qwen2.5_0.5b",
                                 .is_gpt2 = false,
                                 .B = 16,
                                 .T = 1024,
                                 .C = 896,
                                 .H = 14,
                                 .K = 2,
                                 .D = 64,
                                 .F = 4864,
                                 .V = 151936};
constexpr BenchModel kQwen15b = {.name = "qwen2.5_1.5b",
                                 .is_gpt2 = false,
                                 .B = 16,
                                 .T = 1024,
                                 .C = 1536,
                                 .H = 12,
                                 .K = 2,
                                 .D = 128,
                                 .F = 8960,
                                 .V = 151936};
constexpr BenchModel kTiny = {
    .name = "tiny", .is_gpt2 = false, .B = 1, .T = 64, .C = 64, .H = 2, .K = 1, .D = 64, .F = 128, .V = 128};
constexpr BenchModel kTinyGpt2 = {
    .name = "tiny_gpt2", .is_gpt2 = true, .B = 1, .T = 64, .C = 64, .H = 1, .K = 1, .D = 64, .F = 128, .V = 128};

BenchModel WithBatch(BenchModel model, int64_t B) {
  model.B = B;
  return model;
}

}  // namespace

const std::vector<BenchModel>& CpuModels() {
  static const std::vector<BenchModel> models = {kGpt2, kLlama10m};
  return models;
}

const std::vector<BenchModel>& GpuModels() {
  static const std::vector<BenchModel> models = {WithBatch(kGpt2, 64), kQwen05b, kQwen15b};
  return models;
}

const std::vector<BenchModel>& GpuCheckModels() {
  static const std::vector<BenchModel> models = {WithBatch(kGpt2, 2), WithBatch(kQwen05b, 2), WithBatch(kQwen15b, 1)};
  return models;
}

const std::vector<BenchModel>& TinyModels() {
  static const std::vector<BenchModel> models = {kTiny, kTinyGpt2};
  return models;
}

}  // namespace ingot
