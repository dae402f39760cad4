// Which kernels the ops choose by the device's compute capability.
#include <cstdlib>

#include "kernels/cuda/gemm.h"
#include "kernels/emulator/options.h"
#include "kernels/swiglu_matmul.h"
#include "tests/kernels/attention_data.h"

namespace ingot {
namespace {

// Products by a warpgroup that body() runs.
template <typename Body>
int64_t WgmmasOf(const Body& body) {
  const OnBackend on(kCudaBf16);
  const int64_t before = emulator::CurrentCounters().wgmmas;
  body();
  return emulator::CurrentCounters().wgmmas - before;
}

void Attend(int64_t D) { AttentionData({1, 2, 1, 40, D}).Run(); }

void MultiplyWithSwiglu(int64_t C) {
  Floats x = Normal(20 * C, 1), w = Normal(2 * 24 * C, 2), gate_up = Nans(20 * 48), y = Nans(20 * 24);
  RunOp(SwigluMatmulForward{.x = ScalarView(x, {20, C}),
                            .w = ScalarView(w, {48, C}),
                            .gate_up = ScalarView(gate_up, {20, 48}),
                            .y = ScalarView(y, {20, 24})});
}

class GemmWished {
 public:
  explicit GemmWished(const char* wish) { setenv("INGOT_GEMM", wish, 1); }
  ~GemmWished() { unsetenv("INGOT_GEMM"); }
};

TEST(DispatchSm90, NothingWithoutTheCapability) {
  EXPECT_EQ(WgmmasOf([] { Attend(64); }), 0);
  const GemmWished wish("sm90");
  EXPECT_EQ(WgmmasOf([] { MultiplyWithSwiglu(32); }), 0);
}

TEST(DispatchSm90, AttentionByTheWidthOfItsHeads) {
  const emulator::ScopedCapability sm90(90);
  for (const int64_t D : {64, 80, 96, 128}) EXPECT_GT(WgmmasOf([D] { Attend(D); }), 0) << D;
  EXPECT_EQ(WgmmasOf([] { Attend(72); }), 0);
}

TEST(DispatchSm90, ProductsWhereAsked) {
  const emulator::ScopedCapability sm90(90);
  EXPECT_EQ(WgmmasOf([] { MultiplyWithSwiglu(32); }), 0);
  const GemmWished wish("sm90");
  EXPECT_GT(WgmmasOf([] { MultiplyWithSwiglu(32); }), 0);
  EXPECT_EQ(WgmmasOf([] { MultiplyWithSwiglu(33); }), 0) << "rows of 66 bytes, which TMA does not load";
}

TEST(DispatchSm90DeathTest, RefusesOtherWishes) {
  const GemmWished wish("fast");
  const OnBackend on(kCudaBf16);
  EXPECT_DEATH(MultiplyWithSwiglu(32), "INGOT_GEMM is 'fast'; it must be one of: tiled, sm90");
  EXPECT_DEATH(emulator::SetCapability(75), "compute capability 75; 80 or 90");
}

}  // namespace
}  // namespace ingot
