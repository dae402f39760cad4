#include "core/training/hf_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/training/hf_config.h"
#include "tests/core/training/checkpoint_fixture.h"

namespace ingot {
namespace {

using nlohmann::json;
using testing::HasSubstr;

ModelDims Qwen2Dims() {
  ModelDims dims = LlamaDims();
  dims.qkv_bias = true;
  return dims;
}
ModelDims Qwen3Dims() {
  ModelDims dims = LlamaDims();
  dims.qk_norm = true;
  dims.D = 16;  // H * D != C
  dims.rope_theta = 1e6f;
  return dims;
}

json Config(const ModelDims& dims) {
  return json::parse(HfConfigJson(dims, DType::kBf16, {.end_of_text = 5, .pad = 8}).dump());
}

// What ParseHfConfig says to the config of `dims` with `changes` merged into it.
std::string Refusal(const ModelDims& dims, const json& changes) {
  json config = Config(dims);
  config.merge_patch(changes);
  const auto parsed = ParseHfConfig(config.dump(), "config.json");
  return parsed.ok() ? "accepted" : std::string(parsed.status().message());
}

void ExpectSame(const ModelDims& a, const ModelDims& b) {
  EXPECT_EQ(a.architecture, b.architecture);
  EXPECT_EQ(std::make_tuple(a.L, a.C, a.H, a.K, a.D, a.F, a.V, a.T),
            std::make_tuple(b.L, b.C, b.H, b.K, b.D, b.F, b.V, b.T));
  EXPECT_EQ(std::make_tuple(a.qkv_bias, a.qk_norm, a.tied_embeddings),
            std::make_tuple(b.qkv_bias, b.qk_norm, b.tied_embeddings));
  EXPECT_EQ(a.norm_eps, b.norm_eps);
  EXPECT_TRUE(a.architecture == Architecture::kGpt2 || a.rope_theta == b.rope_theta);
}

TEST(HfConfig, ComesBack) {
  for (ModelDims dims : {LlamaDims(), Qwen2Dims(), Qwen3Dims(), Gpt2Dims()}) {
    for (const bool tied : {false, true}) {
      dims.tied_embeddings = tied;
      const auto read = ParseHfConfig(Config(dims).dump(), "config.json");
      ASSERT_TRUE(read.ok()) << read.status();
      ExpectSame(*read, dims);
    }
  }
}

TEST(HfConfig, NamesTheClassAndLeavesNoDefaultToIt) {
  const json llama = Config(LlamaDims()), qwen2 = Config(Qwen2Dims()), qwen3 = Config(Qwen3Dims()),
             gpt2 = Config(Gpt2Dims());
  EXPECT_EQ(llama["architectures"], json({"LlamaForCausalLM"}));
  EXPECT_EQ(qwen2["architectures"], json({"Qwen2ForCausalLM"}));
  EXPECT_EQ(qwen3["architectures"], json({"Qwen3ForCausalLM"}));
  EXPECT_EQ(gpt2["architectures"], json({"GPT2LMHeadModel"}));
  EXPECT_EQ(qwen3["head_dim"], 16);
  EXPECT_EQ(qwen3["max_window_layers"], 2);
  EXPECT_TRUE(qwen2.contains("sliding_window") && qwen2["sliding_window"].is_null());
  EXPECT_FALSE(qwen3.contains("layer_types"));
  EXPECT_FALSE(llama.contains("rope_scaling"));
  EXPECT_EQ(qwen3["rope_theta"], qwen3["rope_parameters"]["rope_theta"]);
  EXPECT_EQ(qwen3["rope_parameters"].dump(), R"({"rope_theta":1000000.0,"rope_type":"default"})");
  EXPECT_EQ(llama["rms_norm_eps"].dump(), "1e-06");
  EXPECT_EQ(llama["mlp_bias"], false);
  EXPECT_EQ(llama["dtype"], "bfloat16");
  EXPECT_EQ(llama["torch_dtype"], "bfloat16");
  EXPECT_EQ(gpt2["n_ctx"], gpt2["n_positions"]);
  EXPECT_EQ(gpt2["attn_pdrop"].dump(), "0.0");
  EXPECT_EQ(gpt2["bos_token_id"], 5);
  EXPECT_EQ(gpt2["pad_token_id"], 8);
}

TEST(HfConfig, IdsAreNullWhereThereAreNone) {
  const json none = json::parse(HfConfigJson(LlamaDims(), DType::kF32, {.end_of_text = -1, .pad = -1}).dump());
  EXPECT_TRUE(none["eos_token_id"].is_null() && none["pad_token_id"].is_null());
  const SpecialIds no_pad = {.end_of_text = 3, .pad = -1};
  EXPECT_EQ(HfConfigJson(LlamaDims(), DType::kF32, no_pad)["pad_token_id"], 3);
  EXPECT_EQ(HfGenerationConfigJson(no_pad)["eos_token_id"].dump(), "[3]");
}

TEST(HfConfig, TakesTheDefaultsOfTheClasses) {
  const std::string sizes =
      R"("vocab_size":64,"hidden_size":128,"num_hidden_layers":2,"num_attention_heads":32,"intermediate_size":48)";
  const auto read = [&](const std::string& type) {
    return ParseHfConfig(absl::StrCat("{\"model_type\":\"", type, "\",", sizes, "}"), "config.json");
  };
  EXPECT_EQ(read("llama")->D, 4);
  EXPECT_EQ(read("llama")->T, 2048);
  EXPECT_EQ(read("qwen3")->D, 128);
  EXPECT_EQ(read("qwen2")->K, 32);
  EXPECT_FALSE(read("qwen2")->tied_embeddings);
  const auto gpt2 = ParseHfConfig(
      R"({"model_type":"gpt2","vocab_size":64,"n_embd":32,"n_layer":2,"n_head":4,"n_inner":null})", "config.json");
  ASSERT_TRUE(gpt2.ok()) << gpt2.status();
  EXPECT_EQ(gpt2->F, 128);
  EXPECT_TRUE(gpt2->tied_embeddings);
}

TEST(HfConfig, RefusesWhatIsNotComputedExactly) {
  const struct {
    ModelDims dims;
    const char* change;
    const char* field;
  } cases[] = {
      {LlamaDims(), R"({"model_type":"mamba"})", "model_type"},
      {LlamaDims(), R"({"rope_scaling":{"rope_type":"llama3","factor":8.0}})", "rope_scaling"},
      {LlamaDims(), R"({"rope_scaling":{"type":"linear","factor":2.0}})", "rope_scaling"},
      {LlamaDims(), R"({"rope_parameters":{"rope_type":"yarn"}})", "rope_parameters"},
      {LlamaDims(), R"({"rope_parameters":{"full_attention":{"rope_theta":1.0}}})", "rope by layer"},
      {LlamaDims(), R"({"partial_rotary_factor":0.5})", "partial_rotary_factor"},
      {Qwen2Dims(), R"({"use_sliding_window":true})", "use_sliding_window"},
      {Qwen3Dims(), R"({"layer_types":["full_attention","sliding_attention"]})", "layer_types"},
      {LlamaDims(), R"({"num_local_experts":8})", "num_local_experts"},
      {LlamaDims(), R"({"architectures":["Qwen3MoeForCausalLM"]})", "experts"},
      {LlamaDims(), R"({"quantization_config":{"quant_method":"gptq"}})", "gptq"},
      {LlamaDims(), R"({"attention_bias":true})", "attention_bias"},
      {Qwen3Dims(), R"({"attention_bias":true})", "attention_bias"},
      {LlamaDims(), R"({"mlp_bias":true})", "mlp_bias"},
      {LlamaDims(), R"({"hidden_act":"gelu"})", "hidden_act"},
      {Gpt2Dims(), R"({"activation_function":"gelu"})", "activation_function"},
      {Gpt2Dims(), R"({"scale_attn_by_inverse_layer_idx":true})", "scale_attn_by_inverse_layer_idx"},
      {Gpt2Dims(), R"({"add_cross_attention":true})", "add_cross_attention"},
      {LlamaDims(), R"({"auto_map":{"AutoModel":"x.Y"}})", "auto_map"},
      {LlamaDims(), R"({"is_encoder_decoder":true})", "is_encoder_decoder"},
      {LlamaDims(), R"({"hidden_size":"wide"})", "hidden_size: expected an integer, found \"wide\""},
      {LlamaDims(), R"({"hidden_size":null})", "hidden_size"},
      {LlamaDims(), R"({"num_hidden_layers":-1})", "model.layers"},
      {LlamaDims(), R"({"num_key_value_heads":3})", "kv_heads"},
      {Gpt2Dims(), R"({"n_embd":9000000000000000000})", "n_embd"},
      {LlamaDims(), R"({"tie_word_embeddings":1})", "tie_word_embeddings"},
  };
  for (const auto& [dims, change, field] : cases) {
    EXPECT_THAT(Refusal(dims, json::parse(change)), HasSubstr(field)) << change;
  }
  EXPECT_EQ(Refusal(LlamaDims(), json::parse(R"({"rope_scaling":null,"sliding_window":4096})")), "accepted");
}

TEST(HfConfig, IdsOutsideTheVocabularyAreNone) {
  const TemporaryDirectory directory;
  json config = Config(Gpt2Dims());
  config["eos_token_id"] = json::array({7, 9});
  config["bos_token_id"] = 50256;
  ASSERT_TRUE(WriteFileAtomically(directory / "config.json", config.dump()).ok());
  const auto ids = ReadHfSpecialIds(directory.path());
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_EQ(ids->end_of_text, 7);
  EXPECT_EQ(ids->begin_of_text, -1);
  EXPECT_EQ(ids->pad, 8);
  const SpecialIds three = {.end_of_text = 7, .pad = 8, .begin_of_text = 6};
  EXPECT_EQ(HfConfigJson(Gpt2Dims(), DType::kF32, three)["bos_token_id"], 6);
}

class HfWeights : public testing::Test {
 protected:
  // Writes `model` as `dtype`, reads it into another one.
  absl::Status ThroughDisk(SmallModel& model, DType dtype, SmallModel& read) {
    const absl::Status status = WriteHfModel(directory_.path(), model.dims, model.table, model.parameters(), dtype,
                                             {.end_of_text = 0, .pad = 3});
    if (!status.ok()) return status;
    return ReadHfWeights(directory_.path(), read.table, read.parameters());
  }
  const TemporaryDirectory directory_;
};

TEST_F(HfWeights, ComeBack) {
  for (const ModelDims& dims : {LlamaDims(), Qwen2Dims(), Qwen3Dims(), Gpt2Dims()}) {
    SmallModel model(dims, 1), read(dims, 2);
    ASSERT_TRUE(ThroughDisk(model, DType::kF32, read).ok());
    EXPECT_EQ(read.values[0], model.values[0]);
    const auto config = ReadHfConfig(directory_.path());
    ASSERT_TRUE(config.ok()) << config.status();
    ExpectSame(*config, dims);
    EXPECT_EQ(ReadHfSpecialIds(directory_.path())->pad, 3);
  }
}

TEST_F(HfWeights, AreRoundedOnceAndThenExact) {
  SmallModel model(Gpt2Dims(), 1), once(Gpt2Dims(), 2), twice(Gpt2Dims(), 3);
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    ASSERT_TRUE(ThroughDisk(model, dtype, once).ok());
    ASSERT_TRUE(ThroughDisk(once, dtype, twice).ok());
    EXPECT_EQ(once.values[0], twice.values[0]);
    const float value = model.values[0][5];
    EXPECT_EQ(once.values[0][5], dtype == DType::kBf16 ? ToFloat(ToBf16(value)) : ToFloat(ToF16(value)));
  }
}

TEST_F(HfWeights, Conv1dIsTransposedOnDisk) {
  SmallModel model(Gpt2Dims());
  ASSERT_TRUE(ThroughDisk(model, DType::kF32, model).ok());
  const auto reader = SafetensorsReader::OpenModel(directory_.path());
  ASSERT_TRUE(reader.ok());
  EXPECT_THAT(reader->tensors().at("transformer.h.0.attn.c_attn.weight").second.shape, testing::ElementsAre(32, 96));
  EXPECT_THAT(reader->tensors().at("transformer.wte.weight").second.shape, testing::ElementsAre(64, 32));
  EXPECT_FALSE(reader->Has("lm_head.weight")) << "tied";
}

TEST_F(HfWeights, MustBeThoseOfTheModel) {
  SmallModel untied(LlamaDims());
  ModelDims dims = LlamaDims();
  dims.tied_embeddings = true;
  SmallModel tied(dims);
  EXPECT_THAT(std::string(ThroughDisk(tied, DType::kF32, untied).message()), HasSubstr("lm_head.weight is missing"));
  EXPECT_THAT(std::string(ThroughDisk(untied, DType::kF32, tied).message()), HasSubstr("differs from the embedding"));
  SmallModel qwen3(Qwen3Dims());
  dims = Qwen3Dims();
  dims.qk_norm = false;
  SmallModel plain(dims);
  EXPECT_THAT(std::string(ThroughDisk(qwen3, DType::kF32, plain).message()), HasSubstr("norm.weight is not expected"));
  untied.values[0][3] = 70000.0f;
  EXPECT_THAT(std::string(ThroughDisk(untied, DType::kF16, untied).message()), HasSubstr("too large for f16"));
}

TEST_F(HfWeights, AreTakenUnderTheNamesOfAModelWithoutItsHead) {
  SmallModel model(Gpt2Dims(), 1), read(Gpt2Dims(), 2);
  std::vector<TensorSource> tensors;
  for (const ParameterSpec& spec : model.table.specs) {
    tensors.push_back({spec.name.substr(std::string("transformer.").size()), spec.shape, spec.transposed, DType::kF32,
                       model.values[0].data() + spec.offset});
  }
  const std::vector<float> mask(16 * 16);
  tensors.push_back({"h.0.attn.bias", {1, 1, 16, 16}, false, DType::kF32, mask.data()});
  ASSERT_TRUE(WriteSafetensors(directory_ / "model.safetensors", tensors, {}).ok());
  const absl::Status status = ReadHfWeights(directory_.path(), read.table, read.parameters());
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(read.values[0], model.values[0]);
}

}  // namespace
}  // namespace ingot
