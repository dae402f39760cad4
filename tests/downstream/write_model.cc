// ingot_write_model DIRECTORY: for each variant of the tiny test models, tied and untied, as f32 and as bf16, writes the
// Hugging Face directory DIRECTORY/VARIANT-DTYPE and what Ingot computes with the weights it reads back from there:
// DIRECTORY/VARIANT-DTYPE.{tokens.i32 (B, T), losses.f32 (B, T), logits.f32 (T, V) of the first sequence}. The targets
// are the tokens shifted by one; the last of a sequence has none.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/base/check.h"
#include "core/model/generate.h"
#include "core/training/hf_model.h"
#include "tests/core/model/test_models.h"

namespace ingot {
namespace {

constexpr int64_t kB = 3, kT = 24;

template <typename T>
void Write(const std::string& path, const std::vector<T>& values) {
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

void CheckOk(const absl::Status& status) { INGOT_CHECK(status.ok(), "%s", std::string(status.message()).c_str()); }

// By the cached decoder, so that both ways of computing are compared with the client.
std::vector<float> Logits(const Model& model, const int32_t* tokens) {
  const auto decoder = CachedDecoder::Create(model.dims(), model.backend(), model.parameters(), kT);
  CheckOk(decoder.status());
  std::vector<float> logits;
  for (int64_t t = 0; t < kT; ++t) {
    const auto row = (*decoder)->Feed({tokens + t, 1});
    CheckOk(row.status());
    logits.insert(logits.end(), row->begin(), row->end());
  }
  return logits;
}

void WriteVariant(const Variant& variant, DType dtype, const std::string& path) {
  std::filesystem::create_directories(path);
  const auto model = MakeModel(variant.dims, {.B = kB, .T = kT});
  CheckOk(WriteHfModel(path, variant.dims, model->table(), model->parameters(), dtype, {.end_of_text = 0, .pad = 3}));
  const auto dims = ReadHfConfig(path);
  CheckOk(dims.status());
  CheckOk(ReadHfWeights(path, MakeParameterTable(*dims), model->parameters()));
  TestBatch batch(kB, kT, variant.dims.V, /*documents=*/false);
  for (int64_t r = 0; r < kB * kT; ++r) batch.targets[r] = r % kT == kT - 1 ? -1 : batch.tokens[r + 1];
  std::vector<float> losses(kB * kT);
  CheckOk(model->Evaluate(batch.input, losses.data(), nullptr));
  Write(path + ".tokens.i32", batch.tokens);
  Write(path + ".losses.f32", losses);
  Write(path + ".logits.f32", Logits(*model, batch.tokens.data()));
}

}  // namespace
}  // namespace ingot

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
    return 2;
  }
  for (ingot::Variant variant : ingot::Variants()) {
    if (!variant.dims.tied_embeddings) continue;  // both are made of each
    for (const bool tied : {true, false}) {
      variant.dims.tied_embeddings = tied;
      const std::string path = std::string(argv[1]) + "/" + variant.name + (tied ? "-tied-" : "-untied-");
      ingot::WriteVariant(variant, ingot::DType::kF32, path + "f32");
      ingot::WriteVariant(variant, ingot::DType::kBf16, path + "bf16");
    }
  }
  return 0;
}
