#include "core/base/process_memory.h"

#include <cstring>
#include <vector>

#include "gtest/gtest.h"

namespace ingot {
namespace {

TEST(ProcessMemory, PeakFollowsWhatWasTouched) {
  constexpr int64_t kBytes = int64_t{64} << 20;
  const int64_t before = ResidentBytes();
  ASSERT_GT(before, 0);
  {
    std::vector<char> touched(kBytes, 1);
    EXPECT_GE(ResidentBytes(), before + kBytes * 9 / 10);
  }
  EXPECT_GE(PeakResidentBytes(), before + kBytes * 9 / 10);
  EXPECT_LT(PeakResidentBytes(), before + kBytes * 8);
}

}  // namespace
}  // namespace ingot
