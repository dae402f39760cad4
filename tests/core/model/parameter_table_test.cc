#include "core/model/parameter_table.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "kernels/gradient_norm.h"
#include "tests/core/model/test_models.h"

namespace ingot {
namespace {

class ParameterTableTest : public testing::TestWithParam<Variant> {};

TEST_P(ParameterTableTest, PlacesDoNotOverlapAndAreAligned) {
  const ParameterTable table = MakeParameterTable(GetParam().dims);
  int64_t end = 0, sum = 0;
  std::set<std::string> names;
  for (const ParameterSpec& spec : table.specs) {
    EXPECT_GE(spec.offset, end) << spec.name;
    EXPECT_TRUE(spec.offset % 64 == 0 || spec.offset == end) << spec.name;
    EXPECT_EQ(spec.decays, spec.offset < table.decay_size) << spec.name;
    EXPECT_EQ(spec.decays, spec.shape.size() == 2) << spec.name;
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
    end = spec.offset + Count(spec);
    sum += Count(spec);
  }
  EXPECT_LE(end, table.flat_size);
  EXPECT_EQ(sum, table.parameters);
  EXPECT_EQ(table.flat_size % GradientNorm::kBlock, 0);
  EXPECT_EQ(table.decay_size % GradientNorm::kBlock, 0);
}

// Backward completes the last layer first.
TEST_P(ParameterTableTest, LayersFallWithinAGroup) {
  const ParameterTable table = MakeParameterTable(GetParam().dims);
  int last = static_cast<int>(GetParam().dims.L);
  for (size_t i = 0; i < table.specs.size(); ++i) {
    const ParameterSpec& spec = table.specs[i];
    if (i > 0 && spec.decays != table.specs[i - 1].decays) last = static_cast<int>(GetParam().dims.L);
    if (spec.layer < 0) continue;
    EXPECT_LE(spec.layer, last) << spec.name;
    last = spec.layer;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, ParameterTableTest, testing::ValuesIn(Variants()),
                         [](const auto& test) { return test.param.name; });

TEST(ParameterTable, CountsOfKnownModels) {
  const ModelDims gpt2 = {.architecture = Architecture::kGpt2,
                          .L = 12,
                          .C = 768,
                          .H = 12,
                          .K = 12,
                          .D = 64,
                          .F = 3072,
                          .V = 50257,
                          .T = 1024};
  EXPECT_EQ(MakeParameterTable(gpt2).parameters, 124439808);
  const ModelDims qwen2 = {
      .L = 24, .C = 896, .H = 14, .K = 2, .D = 64, .F = 4864, .V = 151936, .T = 1024, .qkv_bias = true};
  EXPECT_EQ(MakeParameterTable(qwen2).parameters, 494032768);
}

TEST(ParameterTable, JointProductsAreAdjacent) {
  const ParameterTable table = MakeParameterTable(Variants()[3].dims);  // qwen2
  const auto expect_adjacent = [&](const char* first, const char* second) {
    const std::string block = "model.layers.1.";
    const int i = table.Find(block + first), j = table.Find(block + second);
    ASSERT_GE(i, 0) << first;
    ASSERT_GE(j, 0) << second;
    EXPECT_EQ(table.specs[j].offset, table.specs[i].offset + Count(table.specs[i])) << second;
  };
  expect_adjacent("self_attn.q_proj.weight", "self_attn.k_proj.weight");
  expect_adjacent("self_attn.k_proj.weight", "self_attn.v_proj.weight");
  expect_adjacent("self_attn.q_proj.bias", "self_attn.k_proj.bias");
  expect_adjacent("self_attn.k_proj.bias", "self_attn.v_proj.bias");
  expect_adjacent("mlp.gate_proj.weight", "mlp.up_proj.weight");
  EXPECT_EQ(table.Find("lm_head.weight"), -1);
}

TEST(ParameterTable, Gpt2MatricesLieTransposedOnDisk) {
  const ParameterTable table = MakeParameterTable(Variants()[5].dims);
  for (const ParameterSpec& spec : table.specs) {
    EXPECT_EQ(spec.transposed, spec.layer >= 0 && spec.decays) << spec.name;
  }
}

TEST(Initialize, IsWhatTheTableSaysAndRepeats) {
  ModelDims dims = Variants()[3].dims;
  dims.V = 512;
  auto model = Model::Create(dims, {.B = 1, .T = 4});
  ASSERT_TRUE(model.ok());
  ASSERT_TRUE((*model)->Initialize(1).ok());
  const std::vector<float> first = Values((*model)->parameters());
  for (const ParameterSpec& spec : (*model)->table().specs) {
    double sum = 0, squares = 0;
    for (int64_t n = spec.offset; n < spec.offset + Count(spec); ++n) {
      sum += first[n];
      squares += first[n] * first[n];
    }
    const double N = static_cast<double>(Count(spec)), std = spec.init_std;
    if (spec.init != ParameterInit::kNormal) {
      EXPECT_EQ(sum, spec.init == ParameterInit::kOnes ? N : 0) << spec.name;
      EXPECT_EQ(squares, sum) << spec.name;
      continue;
    }
    EXPECT_NEAR(sum / N, 0, 5 * std / std::sqrt(N)) << spec.name;
    EXPECT_NEAR(std::sqrt(squares / N), std, 5 * std / std::sqrt(2 * N)) << spec.name;
  }
  ASSERT_TRUE((*model)->Initialize(1).ok());
  EXPECT_EQ(first, Values((*model)->parameters()));
  ASSERT_TRUE((*model)->Initialize(2).ok());
  EXPECT_NE(first, Values((*model)->parameters()));
}

}  // namespace
}  // namespace ingot
