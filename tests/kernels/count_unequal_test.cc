#include "kernels/cuda/count_unequal.h"

#include <limits>

#include "kernels/cuda/stream_timer.h"
#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

uint32_t Counted(const Floats& values, int64_t first, int64_t count, DType type, float value) {
  std::vector<Bf16> rounded(values.size());
  for (size_t i = 0; i < values.size(); ++i) rounded[i] = ToBf16(values[i]);
  const CudaMemory memory(static_cast<int64_t>(values.size()) * SizeOf(type)), counter(sizeof(uint32_t));
  memory.CopyFrom(type == DType::kBf16 ? reinterpret_cast<const char*>(rounded.data())
                                       : reinterpret_cast<const char*>(values.data()));
  uint32_t found = 100;  // what is there already stays
  counter.CopyFrom(reinterpret_cast<const char*>(&found));
  cuda::CountUnequal(Tensor(memory.data() + first * SizeOf(type), type, {count}), value,
                     reinterpret_cast<uint32_t*>(counter.data()), CudaMemory::Stream());
  CudaMemory::Finish(absl::OkStatus());
  counter.CopyTo(reinterpret_cast<char*>(&found));
  return found - 100;
}

TEST(CountUnequal, CountsEveryElementThatDiffers) {
  if (CudaBackends().empty()) GTEST_SKIP() << "no GPU";
  for (const DType type : {DType::kF32, DType::kBf16}) {
    for (const int64_t N : {1, 7, 8, 4099}) {
      Floats values(N + 1, 896.0f);
      EXPECT_EQ(Counted(values, 0, N, type, 896), 0u);
      EXPECT_EQ(Counted(values, 1, N, type, 896), 0u);
      EXPECT_EQ(Counted(values, 0, N, type, 900), static_cast<uint32_t>(N));
      values[N - 1] = 880;
      values[N / 2] = std::numeric_limits<float>::quiet_NaN();
      values[0] = -896;
      const uint32_t different = N == 1 ? 1 : 3;
      EXPECT_EQ(Counted(values, 0, N, type, 896), different) << N;
    }
  }
  EXPECT_EQ(Counted({1}, 0, 0, DType::kF32, 2), 0u);
}

TEST(StreamTimer, TimesWhatWasPutOnTheStream) {
  if (CudaBackends().empty()) GTEST_SKIP() << "no GPU";
  const CudaMemory memory(1 << 16);
  cuda::StreamTimer timer(CudaMemory::Stream());
  timer.Start();
  CudaMemory::Finish(cuda::FillZero(memory.data(), 1 << 16, CudaMemory::Stream()));
  const absl::StatusOr<double> seconds = timer.Stop();
  ASSERT_TRUE(seconds.ok());
  EXPECT_GE(*seconds, 0);
}

}  // namespace
}  // namespace ingot
