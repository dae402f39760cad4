// The whole network on CUDA's kernels (the emulator where there is no GPU) beside the CPU's.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/model/generate.h"
#include "tests/core/model/test_models.h"

namespace ingot {
namespace {

constexpr int64_t kB = 2, kT = 24;

struct Outcome {
  double loss = 0;
  std::vector<float> gradients;
};

RunShape ShapeOn(Device device, DType dtype) {
  return {.B = kB, .T = kT, .training = true, .device = device, .dtype = dtype};
}

std::vector<float> OnHost(const Model& model, const Tensor& t) {
  std::vector<float> values(Count(t));
  EXPECT_TRUE(model.backend()->CopyOut(values.data(), t).ok());
  return values;
}

Outcome OutcomeOf(Model& model, const TestBatch& batch) {
  model.ZeroGradients();
  Outcome outcome;
  outcome.loss = model.Accumulate(batch.input, 1.0f / (kB * kT), 1e-3f).value();
  outcome.gradients = OnHost(model, model.gradients());
  return outcome;
}

// Heads as wide as the tensor-core kernels take them.
std::vector<Variant> WideVariants() {
  std::vector<Variant> variants = Variants();
  for (auto& [name, dims] : variants) {
    dims.D = 64;
    if (dims.architecture == Architecture::kLlama && !dims.qkv_bias) continue;
    dims.C = 128;  // these need heads * head width = channels
    dims.H = 2;
    dims.K = dims.architecture == Architecture::kGpt2 ? 2 : 1;
  }
  return variants;
}

// Weights that bf16 holds exactly, so that both computations start from the same ones.
void RoundWeights(Model& model) {
  const auto parameters = HostCopy::Create(model.backend(), model.parameters());
  ASSERT_TRUE(parameters.ok() && parameters->Download().ok());
  const std::span<float> w(parameters->tensor().data<float>(), Count(parameters->tensor()));
  for (float& value : w) value = ToFloat(ToBf16(value));
  ASSERT_TRUE(parameters->Upload().ok());
  model.RefreshWorkingParameters();
}

// Rounding errors of size u (half the unit of the last place, on average), made independently at each of `places` on the way, add up like a random walk; the factor 4
// is the distance of the largest of some dozen parameters from the typical one.
double Tolerance(DType dtype, int64_t L) {
  const double u = dtype == DType::kBf16 ? 0x1p-9 : 0x1p-24;
  const double places = 2.0 * (12.0 * static_cast<double>(L) + 6);   // tensors written by a forward and a backward
  const double chain = dtype == DType::kBf16 ? 1 : std::sqrt(64.0);  // fp32 sums of up to 64 terms
  return 4 * u * chain * std::sqrt(places);
}

void ExpectAlike(const Model& model, const Outcome& got, const Outcome& wanted, double tolerance) {
  EXPECT_NEAR(got.loss, wanted.loss, tolerance * wanted.loss);
  for (const ParameterSpec& spec : model.table().specs) {
    double difference = 0, norm = 0;
    for (int64_t n = spec.offset; n < spec.offset + Count(spec); ++n) {
      difference += std::pow(double{got.gradients[n]} - wanted.gradients[n], 2);
      norm += std::pow(double{wanted.gradients[n]}, 2);
    }
    EXPECT_LT(std::sqrt(difference), tolerance * std::sqrt(norm)) << spec.name;
  }
}

class CudaModelTest : public testing::TestWithParam<Variant> {};

TEST_P(CudaModelTest, LossAndGradientsAreTheCpus) {
  const ModelDims& dims = GetParam().dims;
  for (const bool documents : {false, true}) {
    const TestBatch batch(kB, kT, dims.V, documents);
    const auto cpu = MakeModel(dims, ShapeOn(Device::kCpu, DType::kF32));
    RoundWeights(*cpu);
    const Outcome wanted = OutcomeOf(*cpu, batch);
    for (const DType dtype : {DType::kF32, DType::kBf16}) {
      const auto cuda = MakeModel(dims, ShapeOn(Device::kCuda, dtype));
      RoundWeights(*cuda);
      const Outcome first = OutcomeOf(*cuda, batch);
      ExpectAlike(*cuda, first, wanted, Tolerance(dtype, dims.L));
      EXPECT_EQ(OutcomeOf(*cuda, batch).gradients, first.gradients) << "the same inputs give the same bits";
    }
  }
}

TEST_P(CudaModelTest, RecomputingChangesNoBit) {
  const TestBatch batch(kB, kT, GetParam().dims.V, true);
  RunShape shape = ShapeOn(Device::kCuda, DType::kBf16);
  const Outcome kept = OutcomeOf(*MakeModel(GetParam().dims, shape), batch);
  shape.recompute_block = true;
  EXPECT_EQ(OutcomeOf(*MakeModel(GetParam().dims, shape), batch).gradients, kept.gradients);
  if (GetParam().dims.architecture == Architecture::kGpt2)
    return;  // its activation is part of a product unless computed again
  shape.recompute_block = false;
  shape.recompute_mlp = true;
  EXPECT_EQ(OutcomeOf(*MakeModel(GetParam().dims, shape), batch).gradients, kept.gradients);
}

// Widths that 8-bit products take.
ModelDims InSixteens(ModelDims dims) {
  dims.F = 48;
  return dims;
}

// Values of M bits of mantissa that are evenly spread between two powers of two are rounded by 2^-M / sqrt(12) on average,
// as a share of their own mean square 0.0236 for e4m3, 0.0472 for e5m2. A block has four linear layers whose three products
// read two rounded operands each: a random walk of these errors.
double Fp8Error(const Fp8Use& use, int64_t L) {
  const double e4m3 = 0.0236, gradients = use.gradients == DType::kE5m2 ? 2 * e4m3 : e4m3;
  const double products = 4.0 * static_cast<double>(L) + (use.head ? 1 : 0);
  return std::sqrt(products * (2 * e4m3 * e4m3 + 2 * (e4m3 * e4m3 + gradients * gradients)));
}

TEST_P(CudaModelTest, EightBitProductsComeCloseToF32OnBothBackends) {
  const ModelDims dims = InSixteens(GetParam().dims);
  const TestBatch batch(kB, kT, dims.V, true);
  const auto exact = MakeModel(dims, ShapeOn(Device::kCpu, DType::kF32));
  const Outcome wanted = OutcomeOf(*exact, batch);
  for (const Fp8Use use : {Fp8Use{.blocks = true}, Fp8Use{.blocks = true, .head = true, .gradients = DType::kE5m2}}) {
    for (const Device device : {Device::kCpu, Device::kCuda}) {
      RunShape shape = ShapeOn(device, device == Device::kCpu ? DType::kF32 : DType::kBf16);
      shape.fp8 = use;
      const auto model = MakeModel(dims, shape);
      const Outcome first = OutcomeOf(*model, batch);
      ExpectAlike(*model, first, wanted, 4 * Fp8Error(use, dims.L));  // the most unlucky of some dozen parameters
      EXPECT_NE(first.loss, wanted.loss);
      EXPECT_EQ(OutcomeOf(*model, batch).gradients, first.gradients) << "the same inputs give the same bits";
    }
  }
}

TEST_P(CudaModelTest, EightBitWeightsFollowTheParameters) {
  const ModelDims dims = InSixteens(GetParam().dims);
  const TestBatch batch(kB, kT, dims.V, false);
  RunShape shape = ShapeOn(Device::kCuda, DType::kBf16);
  shape.fp8 = {.blocks = true, .head = true};
  const auto model = MakeModel(dims, shape), other = MakeModel(dims, shape);
  const Outcome before = OutcomeOf(*model, batch);
  Disturb(*model);
  Disturb(*other);
  EXPECT_NE(OutcomeOf(*model, batch).loss, before.loss);
  EXPECT_EQ(OutcomeOf(*model, batch).gradients, OutcomeOf(*other, batch).gradients);
}

TEST_P(CudaModelTest, RecomputingChangesNoBitOfEightBitProducts) {
  const ModelDims dims = InSixteens(GetParam().dims);
  const TestBatch batch(kB, kT, dims.V, true);
  RunShape shape = ShapeOn(Device::kCuda, DType::kBf16);
  shape.fp8 = {.blocks = true};
  const Outcome kept = OutcomeOf(*MakeModel(dims, shape), batch);
  shape.recompute_mlp = true;
  EXPECT_EQ(OutcomeOf(*MakeModel(dims, shape), batch).gradients, kept.gradients);
  shape.recompute_mlp = false;
  shape.recompute_block = true;
  EXPECT_EQ(OutcomeOf(*MakeModel(dims, shape), batch).gradients, kept.gradients);
}

TEST(CudaModel, SizesThatEightBitProductsDoNotTakeAreNamed) {
  ModelDims dims = InSixteens(WideVariants()[0].dims);
  dims.F = 40;
  RunShape shape = ShapeOn(Device::kCuda, DType::kBf16);
  shape.fp8 = {.blocks = true};
  const auto model = Model::Create(dims, shape);
  ASSERT_FALSE(model.ok());
  EXPECT_NE(std::string(model.status().message()).find("model.feed_forward: expected a multiple of 16"),
            std::string::npos)
      << model.status();
}

// The first micro-step runs as it is, the second is captured; documents and another weight of the z-loss start over.
TEST_P(CudaModelTest, AGraphChangesNoBit) {
  const ModelDims& dims = GetParam().dims;
  RunShape shape = ShapeOn(Device::kCuda, DType::kBf16);
  const auto plain = MakeModel(dims, shape);
  shape.cuda_graph = true;
  const auto graph = MakeModel(dims, shape);
  struct Case {
    uint64_t seed;
    bool documents;
    float z_loss;
  };
  for (const Case& c :
       {Case{1, false, 0}, Case{2, false, 0}, Case{3, false, 0}, Case{4, true, 1e-3f}, Case{5, true, 1e-3f}}) {
    const TestBatch batch(kB, kT, dims.V, c.documents, c.seed);
    for (Model* const model : {plain.get(), graph.get()}) model->ZeroGradients();
    const double wanted = plain->Accumulate(batch.input, 0.5f, c.z_loss).value();
    EXPECT_EQ(graph->Accumulate(batch.input, 0.5f, c.z_loss).value(), wanted) << c.seed;
    EXPECT_EQ(OnHost(*graph, graph->gradients()), OnHost(*plain, plain->gradients())) << c.seed;
  }
}

TEST_P(CudaModelTest, DecoderGivesTheLossesOfTheModel) {
  const ModelDims& dims = GetParam().dims;
  TestBatch batch(1, kT, dims.V, false);
  const auto model = MakeModel(dims, {.B = 1, .T = kT, .device = Device::kCuda, .dtype = DType::kBf16});
  std::vector<float> losses(kT);
  ASSERT_TRUE(model->Evaluate(batch.input, losses.data(), nullptr).ok());
  auto decoder = CachedDecoder::Create(dims, model->backend(), model->working_parameters(), kT);
  ASSERT_TRUE(decoder.ok()) << decoder.status();
  double from_model = 0, from_decoder = 0;
  for (int64_t t = 0; t < kT; ++t) {
    const auto logits = (*decoder)->Feed(std::span(&batch.tokens[t], 1));
    ASSERT_TRUE(logits.ok());
    double sum = 0;
    for (const float logit : *logits) sum += std::exp(double{logit});
    from_decoder += std::log(sum) - double{(*logits)[batch.targets[t]]};
    from_model += double{losses[t]};
  }
  EXPECT_NEAR(from_decoder, from_model, Tolerance(DType::kBf16, dims.L) * from_model);
}

// Each place has a graph of its own: run as it is, captured, launched.
TEST(CudaModel, GradientsGoWhereTheyAreWantedWithAGraphToo) {
  RunShape shape = ShapeOn(Device::kCuda, DType::kBf16);
  shape.cuda_graph = true;
  const auto model = MakeModel(WideVariants()[0].dims, shape);
  const TestBatch batch(kB, kT, model->dims().V, true);
  const int64_t size = model->table().flat_size;
  auto memory = model->backend()->CreateArena("other gradients", size * 4);
  ASSERT_TRUE(memory.ok()) << memory.status();
  const Tensor other = memory->Take("other gradients", DType::kF32, {size});
  ASSERT_TRUE(model->backend()->FillZero(other).ok());
  model->ZeroGradients();
  for (int i = 0; i < 6; ++i) {
    model->AddGradientsTo(i % 2 == 0 ? model->gradients() : other);
    ASSERT_TRUE(model->Accumulate(batch.input, 0.5f, 0).ok());
  }
  const std::vector<float> own = OnHost(*model, model->gradients());
  EXPECT_EQ(OnHost(*model, other), own);
  EXPECT_NE(std::count(own.begin(), own.end(), 0.0f), size);
}

TEST(CudaModel, MoreThanTheDeviceHasIsRefusedBeforeAnythingIsTaken) {
  RunShape shape = ShapeOn(Device::kCuda, DType::kBf16);
  shape.B = int64_t{1} << 26;
  const auto model = Model::Create(WideVariants()[0].dims, shape);
  ASSERT_FALSE(model.ok());
  EXPECT_NE(std::string(model.status().message()).find("bytes of device memory are planned, but only"),
            std::string::npos)
      << model.status();
}

INSTANTIATE_TEST_SUITE_P(Variants, CudaModelTest, testing::ValuesIn(WideVariants()),
                         [](const auto& variant) { return variant.param.name; });

}  // namespace
}  // namespace ingot
