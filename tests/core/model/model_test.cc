#include "core/model/model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "tests/core/model/test_models.h"

namespace ingot {
namespace {

constexpr int64_t kB = 2, kT = 24;

double LossOf(Model& model, const TestBatch& batch) {
  std::vector<float> losses(kB * kT);
  INGOT_CHECK(model.Evaluate(batch.input, losses.data(), nullptr).ok(), "evaluate");
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

// The gradient of `scale` = 1 from nothing, and the loss.
std::vector<float> GradientOf(Model& model, const TestBatch& batch, double* loss = nullptr, float z_loss = 0) {
  model.ZeroGradients();
  const double sum = model.Accumulate(batch.input, 1, z_loss).value();
  if (loss != nullptr) *loss = sum;
  return Values(model.gradients());
}

// The slope of the loss when `spec` moves along `direction` (of length 1), by a central difference.
double SlopeAlong(Model& model, const TestBatch& batch, const ParameterSpec& spec,
                  const std::vector<double>& direction) {
  constexpr double kStep = 4e-3;
  float* const w = model.parameters().data<float>() + spec.offset;
  const std::vector<float> before(w, w + Count(spec));
  const auto loss_at = [&](double step) {
    for (int64_t n = 0; n < Count(spec); ++n) w[n] = static_cast<float>(before[n] + step * direction[n]);
    return LossOf(model, batch);
  };
  const double near = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
  const double far = (loss_at(2 * kStep) - loss_at(-2 * kStep)) / (4 * kStep);
  std::copy(before.begin(), before.end(), w);
  return (4 * near - far) / 3;  // Richardson: the third derivative cancels
}

void ExpectGradientsAreSlopes(Model& model, const TestBatch& batch) {
  const std::vector<float> gradients = GradientOf(model, batch);
  const Philox philox = {11};
  for (const ParameterSpec& spec : model.table().specs) {
    const float* const g = gradients.data() + spec.offset;
    double norm = 0, noise_norm = 0;
    for (int64_t n = 0; n < Count(spec); ++n) norm += double{g[n]} * g[n];
    norm = std::sqrt(norm);
    ASSERT_GT(norm, 1e-3) << spec.name;
    std::vector<double> direction(Count(spec));
    for (int64_t n = 0; n < Count(spec); ++n) {  // half along the gradient, half anywhere
      const double noise = philox.Normal(2, static_cast<uint64_t>(n)) / std::sqrt(static_cast<double>(Count(spec)));
      direction[n] = g[n] / norm + noise;
      noise_norm += direction[n] * direction[n];
    }
    double expected = 0;
    for (int64_t n = 0; n < Count(spec); ++n) {
      direction[n] /= std::sqrt(noise_norm);
      expected += direction[n] * g[n];
    }
    EXPECT_NEAR(SlopeAlong(model, batch, spec, direction), expected, 5e-3 * norm + 2e-3) << spec.name;
  }
}

class ModelTest : public testing::TestWithParam<Variant> {};

TEST_P(ModelTest, GradientsAreSlopesOfTheLoss) {
  const auto model = MakeModel(GetParam().dims, {.B = kB, .T = kT, .training = true});
  ExpectGradientsAreSlopes(*model, TestBatch(kB, kT, GetParam().dims.V, false));
  ExpectGradientsAreSlopes(*model, TestBatch(kB, kT, GetParam().dims.V, true));
}

TEST_P(ModelTest, RecomputingChangesNoBit) {
  const TestBatch batch(kB, kT, GetParam().dims.V, true);
  RunShape shape = {.B = kB, .T = kT, .training = true};
  double loss = 0, other_loss = 0;
  const auto gradients = GradientOf(*MakeModel(GetParam().dims, shape), batch, &loss, 1e-2f);
  shape.recompute_mlp = true;
  EXPECT_EQ(gradients, GradientOf(*MakeModel(GetParam().dims, shape), batch, &other_loss, 1e-2f));
  EXPECT_EQ(loss, other_loss);
  shape.recompute_block = true;
  EXPECT_EQ(gradients, GradientOf(*MakeModel(GetParam().dims, shape), batch, &other_loss, 1e-2f));
  shape.recompute_mlp = false;
  EXPECT_EQ(gradients, GradientOf(*MakeModel(GetParam().dims, shape), batch, &other_loss, 1e-2f));
}

TEST_P(ModelTest, ThreadsChangeNoBit) {
  const TestBatch batch(kB, kT, GetParam().dims.V, true);
  const RunShape shape = {.B = kB, .T = kT, .training = true};
  const int before = omp_get_max_threads();
  std::vector<std::vector<float>> gradients;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    gradients.push_back(GradientOf(*MakeModel(GetParam().dims, shape), batch));
  }
  omp_set_num_threads(before);
  EXPECT_EQ(gradients[0], gradients[1]);
  EXPECT_EQ(gradients[0], gradients[2]);
}

TEST_P(ModelTest, MicroBatchesAddUp) {
  const TestBatch batch(kB, kT, GetParam().dims.V, true);
  double loss = 0, sum = 0;
  const auto whole = GradientOf(*MakeModel(GetParam().dims, {.B = kB, .T = kT, .training = true}), batch, &loss);
  const auto model = MakeModel(GetParam().dims, {.B = 1, .T = kT, .training = true});
  model->ZeroGradients();
  for (int64_t b = 0; b < kB; ++b) {
    const auto part = [&](const Tensor& t) { return Slice(t, b * kT, {1, kT}); };
    const ModelInput input = {part(batch.input.tokens), part(batch.input.targets), part(batch.input.positions),
                              part(batch.input.document_start)};
    sum += model->Accumulate(input, 1, 0).value();
  }
  EXPECT_NEAR(sum, loss, 1e-4);
  const auto added = Values(model->gradients());
  for (const ParameterSpec& spec : model->table().specs) {
    double difference = 0, norm = 0;
    for (int64_t n = spec.offset; n < spec.offset + Count(spec); ++n) {
      difference += std::pow(added[n] - whole[n], 2);
      norm += std::pow(whole[n], 2);
    }
    EXPECT_LT(std::sqrt(difference), 1e-5 * std::sqrt(norm)) << spec.name;
  }
}

TEST_P(ModelTest, ScaleAndZLossAreOfTheGradientOnly) {
  const TestBatch batch(kB, kT, GetParam().dims.V, false);
  const auto model = MakeModel(GetParam().dims, {.B = kB, .T = kT, .training = true});
  double plain = 0, with_z = 0;
  const auto gradients = GradientOf(*model, batch, &plain);
  EXPECT_NE(gradients, GradientOf(*model, batch, &with_z, 0.1f));
  EXPECT_EQ(plain, with_z);
  EXPECT_NEAR(LossOf(*model, batch), plain, 1e-4);
  model->ZeroGradients();
  EXPECT_EQ(model->Accumulate(batch.input, 0.5f, 0).value(), plain);
  const auto halves = Values(model->gradients());
  for (size_t n = 0; n < halves.size(); ++n)
    ASSERT_NEAR(halves[n], gradients[n] / 2, 1e-4 + 1e-4 * std::abs(halves[n]));
}

// A document sees nothing of those beside it: alone, at other places, it has the same losses.
TEST_P(ModelTest, DocumentsAreApart) {
  TestBatch batch(kB, kT, GetParam().dims.V, true);
  const auto model = MakeModel(GetParam().dims, {.B = kB, .T = kT});
  std::vector<float> before(kB * kT), after(kB * kT);
  ASSERT_TRUE(model->Evaluate(batch.input, before.data(), nullptr).ok());
  for (int64_t t = 0; t < 5; ++t) batch.tokens[t] = (batch.tokens[t] + 1) % 64;  // the first document of row 0
  ASSERT_TRUE(model->Evaluate(batch.input, after.data(), nullptr).ok());
  EXPECT_NE(before[0], after[0]);
  for (int64_t r = 5; r < kB * kT; ++r) EXPECT_EQ(before[r], after[r]) << r;
}

TEST_P(ModelTest, GreedyIsTheLikeliest) {
  const TestBatch batch(kB, kT, GetParam().dims.V, false);
  const auto model = MakeModel(GetParam().dims, {.B = kB, .T = kT});
  std::vector<float> losses(kB * kT);
  std::vector<int32_t> greedy(kB * kT);
  ASSERT_TRUE(model->Evaluate(batch.input, losses.data(), greedy.data()).ok());
  TestBatch likely(kB, kT, GetParam().dims.V, false);
  std::copy(greedy.begin(), greedy.end(), likely.targets.begin());
  std::vector<float> least(kB * kT);
  ASSERT_TRUE(model->Evaluate(likely.input, least.data(), nullptr).ok());
  for (int64_t r = 0; r < kB * kT; ++r) EXPECT_LE(least[r], losses[r] + 1e-6f);
}

INSTANTIATE_TEST_SUITE_P(Variants, ModelTest, testing::ValuesIn(Variants()),
                         [](const auto& test) { return test.param.name; });

TEST(Model, RefusesWhatItCannotBe) {
  ModelDims dims = Variants()[0].dims;
  const auto too_long = Model::Create(dims, {.B = 1, .T = dims.T + 1});
  ASSERT_FALSE(too_long.ok());
  EXPECT_THAT(std::string(too_long.status().message()), testing::HasSubstr("sequence length: expected 1 to 24"));
  dims.K = 3;
  EXPECT_FALSE(Model::Create(dims, {.B = 1, .T = 4}).ok());
}

TEST(Model, RefusesMoreMemoryThanThereIs) {
  const auto model = Model::Create(Variants()[0].dims, {.B = int64_t{1} << 26, .T = 24, .training = true});
  ASSERT_FALSE(model.ok());
  EXPECT_THAT(std::string(model.status().message()), testing::HasSubstr("use a smaller micro-batch"));
}

TEST(MemoryPlan, AddsUpAndPrints) {
  const MemoryPlan plan = Model::Plan(Variants()[0].dims, {.B = 1, .T = 8, .training = true});
  int64_t sum = 0;
  for (const MemoryEntry& entry : plan.entries) {
    sum += entry.bytes;
    EXPECT_THAT(plan.ToString(), testing::HasSubstr(entry.name));
  }
  EXPECT_EQ(plan.total(), sum);
  EXPECT_LT(Model::Plan(Variants()[0].dims, {.B = 1, .T = 8}).total(), plan.total());
}

}  // namespace
}  // namespace ingot
