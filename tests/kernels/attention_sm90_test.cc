// Attention on a device of compute capability 9.0 against the reference: tails of queries and keys, several rounds of the
// stages, documents, groups of heads.
#include "kernels/cuda/attention_sm90.h"

#include <string>
#include <vector>

#include "kernels/cached_attention.h"
#include "tests/kernels/attention_gradients.h"
#include "tests/kernels/device_sm90.h"

namespace ingot {
namespace {

using Data = AttentionData;
using Shape = AttentionShape;

class AttentionSm90 : public testing::TestWithParam<Shape> {};

TEST_P(AttentionSm90, ForwardAndBackward) {
  if (!CanRunSm90()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const OnBackend on(kCudaBf16);
  const OnSm90 device;
  Data data(GetParam());
  data.Run();
  ExpectForward(data);
  ExpectGradients(data, BackwardFormula(data, BackwardIn(data)));
}

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionSm90,
                         testing::Values(Shape{1, 1, 1, 1, 64}, Shape{1, 1, 1, 1, 128}, Shape{2, 2, 1, 5, 64},
                                         Shape{1, 2, 1, 333, 64}, Shape{1, 1, 1, 300, 128}, Shape{1, 5, 1, 65, 128},
                                         Shape{1, 7, 1, 130, 64}, Shape{1, 1, 1, 700, 64}, Shape{1, 1, 1, 520, 128},
                                         Shape{1, 2, 1, 400, 64, {0, 64, 70, 71, 128, 300}},
                                         Shape{2, 1, 1, 260, 128, {0, 130, 259}},
                                         Shape{1, 1, 1, 530, 64, {0, 250, 460, 500}}, Shape{2, 2, 2, 3, 80},
                                         Shape{1, 2, 1, 333, 80, {0, 60, 191}}, Shape{1, 3, 1, 129, 96},
                                         Shape{2, 1, 1, 400, 96, {0, 130, 259}}),
                         [](const auto& shape) { return shape.param.Name(); });

TEST(AttentionSm90Bits, DoNotDependOnTheSchedule) {
  if (!CanRunSm90()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const OnBackend on(kCudaBf16);
  const OnSm90 device;
  for (const Shape& shape : {Shape{1, 1, 1, 700, 64}, Shape{1, 2, 1, 450, 128, {0, 250, 400}}, Shape{1, 2, 1, 390, 80},
                             Shape{1, 1, 1, 390, 96}}) {
    std::vector<Floats> results;
    ForEachSchedule([&] {
      Data data(shape);
      data.Run();
      results.push_back(data.Outputs());
    });
    ExpectSameBits(results, "schedule");
  }
}

// A prompt behind 37 cached tokens sees them, in a cache of 400 places.
TEST(AttentionSm90Bits, APromptSeesTheCache) {
  if (!CanRunSm90()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const OnBackend on(kCudaBf16);
  const OnSm90 device;
  constexpr int64_t kPast = 37, kNew = 150, kPlaces = 400, D = 64;
  Floats q = Normal(2 * kNew * D, 1), k_cache = Normal(kPlaces * D, 2), v_cache = Normal(kPlaces * D, 3);
  Floats k_new = Normal(kNew * D, 4), v_new = Normal(kNew * D, 5), y = Nans(kNew * 2 * D);
  RunOp(CachedAttention{.q = ScalarView(q, {2, kNew, D}),
                        .k_new = ScalarView(k_new, {1, kNew, D}),
                        .v_new = ScalarView(v_new, {1, kNew, D}),
                        .k_cache = ScalarView(k_cache, {1, kPlaces, D}),
                        .v_cache = ScalarView(v_cache, {1, kPlaces, D}),
                        .y = ScalarView(y, {kNew, 2 * D}),
                        .past = kPast});
  const int64_t S = kPast + kNew;
  const AttentionReference reference{1, 2, 1, kNew, S, D, {}};
  k_cache.resize(S * D);
  v_cache.resize(S * D);
  const Arrays<double> in = {Doubles(q), Doubles(k_cache), Doubles(v_cache)};
  ExpectWithin(y, reference(in), Sensitivity(reference, in), S + D, /*structured=*/false, ScalarUnit(),
               RoundedProbabilities(reference, in));
}

}  // namespace
}  // namespace ingot
