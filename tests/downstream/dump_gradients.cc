// ingot_dump_gradients DIRECTORY: for each variant of the tiny test models, with and without document boundaries, writes
// DIRECTORY/CASE/{case.json, parameters.f32, gradients.f32, tokens.i32, targets.i32, positions.i32, starts.i32}: the
// weights, the gradient of the first batch, and the batches and losses of AdamW steps from those weights.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kernels/adamw.h"
#include "kernels/gradient_norm.h"
#include "tests/core/model/test_models.h"

namespace ingot {
namespace {

constexpr int64_t kSteps = 20;
constexpr float kLearningRate = 3e-3f, kBeta1 = 0.9f, kBeta2 = 0.95f, kEps = 1e-8f, kDecay = 0.1f, kClip = 1;

template <typename T>
void Write(const std::filesystem::path& path, const T* values, int64_t N) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(values), N * sizeof(T));
}

void Append(std::vector<int32_t>& all, const std::vector<int32_t>& batch) {
  all.insert(all.end(), batch.begin(), batch.end());
}

// Large enough that every op cuts its work: rows of the head into chunks, the vocabulary and products into panels,
// queries and keys into tiles.
Variant Large(Architecture architecture) {
  ModelDims dims = {.L = 2, .C = 192, .H = 6, .K = 2, .D = 32, .F = 520, .V = 1088, .T = 200};
  dims.architecture = architecture;
  if (architecture == Architecture::kGpt2) dims.K = dims.H;
  return {architecture == Architecture::kGpt2 ? "gpt2_large" : "llama_large", dims};
}

nlohmann::json Describe(const Variant& variant, const Model& model) {
  const ModelDims& d = variant.dims;
  auto parameters = nlohmann::json::array();
  for (const ParameterSpec& spec : model.table().specs) {
    parameters.push_back({{"name", spec.name},
                          {"shape", spec.shape},
                          {"offset", spec.offset},
                          {"transposed", spec.transposed},
                          {"decays", spec.decays}});
  }
  return {{"architecture", d.architecture == Architecture::kLlama ? "llama" : "gpt2"},
          {"L", d.L},
          {"C", d.C},
          {"H", d.H},
          {"K", d.K},
          {"D", d.D},
          {"F", d.F},
          {"V", d.V},
          {"T", d.T},
          {"qkv_bias", d.qkv_bias},
          {"qk_norm", d.qk_norm},
          {"tied_embeddings", d.tied_embeddings},
          {"norm_eps", d.norm_eps},
          {"rope_theta", d.rope_theta},
          {"batch", {kSteps, model.shape().B, model.shape().T}},
          {"learning_rate", kLearningRate},
          {"betas", {kBeta1, kBeta2}},
          {"eps", kEps},
          {"weight_decay", kDecay},
          {"clip", kClip},
          {"parameters", parameters}};
}

// One optimizer step on gradients that are there already.
class Optimizer {
 public:
  explicit Optimizer(const Model& model) : model_(model), m_(Count(model.parameters())), v_(m_.size()) {}

  void Step(int64_t step) {
    const int64_t N = Count(model_.parameters()), decays = model_.table().decay_size;
    std::vector<double> sums((N + GradientNorm::kBlock - 1) / GradientNorm::kBlock);
    const int64_t blocks = static_cast<int64_t>(sums.size());
    Context ctx;
    ctx.Run(GradientNorm{.x = model_.gradients(), .block_sums = Tensor(sums.data(), DType::kF64, {blocks})});
    const double norm = NormOfBlockSums(sums.data(), blocks);
    const float scale = norm > kClip ? static_cast<float>(kClip / norm) : 1.0f;
    Update(ctx, step, 0, decays, kDecay, scale);
    Update(ctx, step, decays, N - decays, 0, scale);
  }

 private:
  void Update(Context& ctx, int64_t step, int64_t begin, int64_t N, float decay, float scale) {
    const auto moments = [&](std::vector<float>& all) { return Tensor(all.data() + begin, DType::kF32, {N}); };
    ctx.Run(AdamW{.w = Slice(model_.parameters(), begin, {N}),
                  .gradient = Slice(model_.gradients(), begin, {N}),
                  .m = moments(m_),
                  .v = moments(v_),
                  .step = step,
                  .learning_rate = kLearningRate,
                  .beta1 = kBeta1,
                  .beta2 = kBeta2,
                  .eps = kEps,
                  .weight_decay = decay,
                  .gradient_scale = scale});
  }

  const Model& model_;
  std::vector<float> m_, v_;
};

void DumpCase(const Variant& variant, int64_t B, bool documents, const std::filesystem::path& root) {
  const std::filesystem::path directory = root / (variant.name + (documents ? "_documents" : ""));
  std::filesystem::create_directories(directory);
  const int64_t T = variant.dims.T;
  const auto model = MakeModel(variant.dims, {.B = B, .T = T, .training = true});
  const int64_t N = Count(model->parameters());
  const float z_loss = documents ? 1e-2f : 0.0f;
  nlohmann::json facts = Describe(variant, *model);
  facts["z_loss"] = z_loss;
  Write(directory / "parameters.f32", model->parameters().data<float>(), N);
  Optimizer optimizer(*model);
  std::vector<int32_t> tokens, targets, positions, starts;
  for (int64_t step = 1; step <= kSteps; ++step) {
    const TestBatch batch(B, T, variant.dims.V, documents, static_cast<uint64_t>(step));
    int64_t counted = 0;
    for (const int32_t target : batch.targets) counted += target >= 0;
    model->ZeroGradients();
    const double loss = model->Accumulate(batch.input, 1 / static_cast<float>(counted), z_loss).value();
    facts["losses"].push_back(loss / static_cast<double>(counted));
    if (step == 1) Write(directory / "gradients.f32", model->gradients().data<float>(), N);
    optimizer.Step(step);
    Append(tokens, batch.tokens);
    Append(targets, batch.targets);
    Append(positions, batch.positions);
    Append(starts, batch.starts);
  }
  const int64_t ids = kSteps * B * T;
  Write(directory / "tokens.i32", tokens.data(), ids);
  Write(directory / "targets.i32", targets.data(), ids);
  Write(directory / "positions.i32", positions.data(), ids);
  Write(directory / "starts.i32", starts.data(), ids);
  std::ofstream(directory / "case.json") << facts.dump(1);
}

}  // namespace
}  // namespace ingot

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  using ingot::Architecture;
  for (const bool documents : {false, true}) {
    for (const ingot::Variant& variant : ingot::Variants()) ingot::DumpCase(variant, 2, documents, argv[1]);
    for (const Architecture architecture : {Architecture::kLlama, Architecture::kGpt2}) {
      ingot::DumpCase(ingot::Large(architecture), 3, documents, argv[1]);
    }
  }
  return 0;
}
