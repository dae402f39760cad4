// Attention forward for sm_90a against the reference: tails of queries and keys, several rounds of the stages, documents,
// groups of heads.
#include "kernels/cuda/attention_sm90.h"

#include <string>
#include <vector>

#include "kernels/cuda/tensor_map.h"
#include "tests/kernels/attention_data.h"

namespace ingot {
namespace {

using Data = AttentionData;
using Shape = AttentionShape;

bool CanRun() { return !CudaBackends().empty() && cuda::HasSm90(); }

// AttentionForward by the kernel for sm_90a.
struct ForwardOnSm90 {
  static constexpr char kName[] = "attention_forward_sm90";
  Tensor q, k, v, document_start, y, lse;
  void Check() const {}
  Work Cost() const { return {}; }
  void OnCpu(Context&) const {}
  void OnCuda(Context& ctx) const {
    const int64_t T = q.dim(2), D = q.dim(3);
    RunAttentionForwardSm90({.q = q.data<Bf16>(),
                             .k = k.data<Bf16>(),
                             .v = v.data<Bf16>(),
                             .starts = document_start.data<int32_t>(),
                             .y = y.data<Bf16>(),
                             .lse = lse.data<float>(),
                             .B = static_cast<int>(q.dim(0)),
                             .H = static_cast<int>(q.dim(1)),
                             .K = static_cast<int>(k.dim(1)),
                             .N = static_cast<int>(T),
                             .D = static_cast<int>(D),
                             .past = 0,
                             .kv_stride = T * D,
                             .scale = AttentionScale(0, D)},
                            ctx);
  }
};

void RunForward(Data& data) {
  RunOp(ForwardOnSm90{.q = ScalarView(data.q, {data.B, data.H, data.T, data.D}),
                      .k = ScalarView(data.k, {data.B, data.K, data.T, data.D}),
                      .v = ScalarView(data.v, {data.B, data.K, data.T, data.D}),
                      .document_start = data.StartsView(),
                      .y = ScalarView(data.y, {data.B, data.T, data.H * data.D}),
                      .lse = View(data.lse, {data.B, data.H, data.T})});
}

class AttentionSm90 : public testing::TestWithParam<Shape> {};

TEST_P(AttentionSm90, Forward) {
  if (!CanRun()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const OnBackend on(kCudaBf16);
  Data data(GetParam());
  RunForward(data);
  ExpectForward(data);
}

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionSm90,
                         testing::Values(Shape{1, 1, 1, 1, 64}, Shape{1, 1, 1, 1, 128}, Shape{2, 2, 1, 5, 64},
                                         Shape{1, 2, 1, 333, 64}, Shape{1, 1, 1, 300, 128}, Shape{1, 5, 1, 65, 128},
                                         Shape{1, 7, 1, 130, 64}, Shape{1, 1, 1, 700, 64}, Shape{1, 1, 1, 520, 128},
                                         Shape{1, 2, 1, 400, 64, {0, 64, 70, 71, 128, 300}},
                                         Shape{2, 1, 1, 260, 128, {0, 130, 259}},
                                         Shape{1, 1, 1, 530, 64, {0, 250, 460, 500}}),
                         [](const auto& shape) { return shape.param.Name(); });

TEST(AttentionSm90Bits, DoNotDependOnTheSchedule) {
  if (!CanRun()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const OnBackend on(kCudaBf16);
  for (const Shape& shape : {Shape{1, 1, 1, 700, 64}, Shape{1, 2, 1, 530, 128, {0, 250, 460}}}) {
    std::vector<Floats> results;
    ForEachSchedule([&] {
      Data data(shape);
      RunForward(data);
      results.push_back(Joined({data.y, data.lse}));
    });
    ExpectSameBits(results, "schedule");
  }
}

// A prompt behind 37 cached tokens sees them, in a cache of 400 places.
TEST(AttentionSm90Bits, APromptSeesTheCache) {
  if (!CanRun()) GTEST_SKIP() << "needs a GPU of compute capability 9.0, or the emulator";
  const OnBackend on(kCudaBf16);
  constexpr int64_t kPast = 37, kNew = 150, kPlaces = 400, D = 64;
  Floats q = Normal(2 * kNew * D, 1), k = Normal(kPlaces * D, 2), v = Normal(kPlaces * D, 3);
  Floats y = Nans(kNew * 2 * D);
  std::vector<Tensor> tensors = {ScalarView(q, {1, 2, kNew, D}), ScalarView(k, {1, 1, kPlaces, D}),
                                 ScalarView(v, {1, 1, kPlaces, D}), ScalarView(y, {1, kNew, 2 * D})};
  Images<CudaMemory> images(tensors);
  Context ctx({}, Device::kCuda, CudaMemory::Stream());
  RunAttentionForwardSm90({.q = tensors[0].data<Bf16>(),
                           .k = tensors[1].data<Bf16>(),
                           .v = tensors[2].data<Bf16>(),
                           .starts = nullptr,
                           .y = tensors[3].data<Bf16>(),
                           .lse = nullptr,
                           .B = 1,
                           .H = 2,
                           .K = 1,
                           .N = kNew,
                           .D = D,
                           .past = kPast,
                           .kv_stride = kPlaces * D,
                           .scale = AttentionScale(0, D)},
                          ctx);
  CudaMemory::Finish(absl::OkStatus());
  images.CopyBack();
  const int64_t S = kPast + kNew;
  const AttentionReference reference{1, 2, 1, kNew, S, D, {}};
  k.resize(S * D);
  v.resize(S * D);
  const Arrays<double> in = {Doubles(q), Doubles(k), Doubles(v)};
  ExpectWithin(y, reference(in), Sensitivity(reference, in), S + D, /*structured=*/false, ScalarUnit(),
               RoundedProbabilities(reference, in));
}

}  // namespace
}  // namespace ingot
