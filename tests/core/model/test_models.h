#pragma once
// Tiny models of every variant, with weights far enough from their first values that every gradient shows, and batches.
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "core/base/philox.h"
#include "core/model/model.h"

namespace ingot {

struct Variant {
  std::string name;
  ModelDims dims;
};

inline void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

inline std::vector<Variant> Variants() {
  const ModelDims plain = {.L = 2, .C = 32, .H = 4, .K = 2, .D = 8, .F = 40, .V = 64, .T = 24};
  std::vector<Variant> variants = {{"llama", plain}};
  const auto add = [&](const char* name, auto change) {
    variants.push_back({name, plain});
    change(variants.back().dims);
  };
  add("llama_untied", [](ModelDims& d) { d.tied_embeddings = false; });
  add("llama_wide_heads", [](ModelDims& d) { d.D = 12; });
  add("qwen2", [](ModelDims& d) { d.qkv_bias = true; });
  add("qwen3", [](ModelDims& d) {
    d.qk_norm = true;
    d.D = 16;
    d.rope_theta = 1e6f;
    d.K = 1;
  });
  add("gpt2", [](ModelDims& d) {
    d.architecture = Architecture::kGpt2;
    d.K = 4;
    d.norm_eps = 1e-5f;
  });
  add("gpt2_untied", [](ModelDims& d) {
    d.architecture = Architecture::kGpt2;
    d.K = 4;
    d.norm_eps = 1e-5f;
    d.tied_embeddings = false;
  });
  return variants;
}

// Adds noise to everything: norms are not ones any more, biases not zeros, matrices larger.
inline void Disturb(Model& model) {
  const Philox philox = {5};
  const auto parameters = HostCopy::Create(model.backend(), model.parameters());
  INGOT_CHECK(parameters.ok() && parameters->Download().ok(), "host copy");
  float* const w = parameters->tensor().data<float>();
  for (const ParameterSpec& spec : model.table().specs) {
    for (int64_t n = spec.offset; n < spec.offset + Count(spec); ++n) {
      w[n] += static_cast<float>(0.15 * philox.Normal(1, static_cast<uint64_t>(n)));
    }
  }
  INGOT_CHECK(parameters->Upload().ok(), "upload");
  model.RefreshWorkingParameters();
}

inline std::unique_ptr<Model> MakeModel(const ModelDims& dims, const RunShape& shape) {
  auto model = Model::Create(dims, shape);
  INGOT_CHECK(model.ok(), "%s", std::string(model.status().message()).c_str());
  INGOT_CHECK((*model)->Initialize(7).ok(), "initialize");
  Disturb(**model);
  return *std::move(model);
}

// Random tokens; documents of five tokens if `documents`, then without a target at each document's end.
struct TestBatch {
  TestBatch(int64_t B, int64_t T, int64_t V, bool documents, uint64_t seed = 3) {
    const Philox philox = {seed};
    for (int64_t r = 0; r < B * T; ++r) {
      const int64_t t = r % T, start = documents ? t / 5 * 5 : 0;
      tokens.push_back(static_cast<int32_t>(philox.Below(V, 1, r)));
      const bool ends = documents && t % 5 == 4;
      targets.push_back(ends ? -1 : static_cast<int32_t>(philox.Below(V, 2, r)));
      positions.push_back(static_cast<int32_t>(t - start));
      starts.push_back(static_cast<int32_t>(start));
    }
    const auto view = [&](std::vector<int32_t>& values) { return Tensor(values.data(), DType::kI32, {B, T}); };
    input = {.tokens = view(tokens), .targets = view(targets), .positions = view(positions)};
    if (documents) input.document_start = view(starts);
  }
  TestBatch(const TestBatch&) = delete;

  std::vector<int32_t> tokens, targets, positions, starts;
  ModelInput input;
};

inline std::vector<float> Values(const Tensor& t) {
  return std::vector<float>(t.data<float>(), t.data<float>() + Count(t));
}

// Of a model on any device.
inline std::vector<float> GradientsOf(const Model& model) {
  const auto gradients = HostCopy::Create(model.backend(), model.gradients());
  INGOT_CHECK(gradients.ok() && gradients->Download().ok(), "host copy");
  return Values(gradients->tensor());
}

}  // namespace ingot
