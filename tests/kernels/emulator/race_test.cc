// The race build sees what kernels do: the linker has not put an uninstrumented copy of a function in its place.
#include "kernels/emulator/race.h"

#include "gtest/gtest.h"
#include "kernels/emulator/options.h"
#include "kernels/fill.h"
#include "tests/kernels/emulator/device_array.h"
#include "tests/kernels/emulator/seeded_bugs.h"

namespace ingot {
namespace {

// The only accesses of this kernel to memory lie in functions of device.cuh, which other files of this program inline
// too. Each must raise the count.
TEST(RaceBuild, SeesAccessesInsideInlineFunctions) {
  if (!emulator::kRaceBuild) GTEST_SKIP() << "only the race build counts accesses";
  const int64_t before = emulator::CurrentCounters().instrumented;
  EXPECT_TRUE(InlineAccessesAreRight());
  EXPECT_GE(emulator::CurrentCounters().instrumented - before, 2 * kInlineAccesses);
}

TEST(RaceBuild, SeesTheKernelsOfTheProduct) {
  if (!emulator::kRaceBuild) GTEST_SKIP() << "only the race build counts accesses";
  const DeviceArray<float> y("y", std::vector<float>(1000));
  Context ctx({}, Device::kCuda);
  const int64_t before = emulator::CurrentCounters().instrumented;
  ctx.Run(Fill{.y = Tensor(y.data(), DType::kF32, {1000}), .value = 2});
  EXPECT_GE(emulator::CurrentCounters().instrumented - before, 250);  // packs of four
  EXPECT_EQ(y.Values(), std::vector<float>(1000, 2));
}

}  // namespace
}  // namespace ingot
