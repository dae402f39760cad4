// The order of streams, as work on them is exchanged between ranks.
#include <vector>

#include "gtest/gtest.h"
#include "kernels/add.h"
#include "kernels/copy.h"
#include "kernels/fill.h"
#include "tests/kernels/backend.h"
#include "tests/kernels/schedules.h"

namespace ingot {
namespace {

constexpr int64_t kN = 5000;

class Stream {
 public:
  Stream() : stream_(*cuda::CreateStream()) {}
  ~Stream() { cuda::DestroyStream(stream_); }
  Context context() const { return Context({}, Device::kCuda, stream_); }
  void* get() const { return stream_; }
  // What is given to this stream from now on comes behind what `other` has been given.
  void Follow(const Stream& other) const {
    void* const event = cuda::RecordEvent(other.get());
    cuda::WaitForEvent(stream_, event);
    cuda::DestroyEvent(event);  // at once: it is gone when nobody needs it any more
  }

 private:
  void* const stream_;
};

// One stream makes a value in a round, the other adds it to a sum; each waits for the other before it goes on.
std::vector<float> SumOfRounds(int rounds, bool ordered) {
  const Stream makes, adds;
  const CudaMemory value_memory(kN * 4), sum_memory(kN * 4);
  const Tensor value(value_memory.data(), DType::kF32, {kN}), sum(sum_memory.data(), DType::kF32, {kN});
  Context maker = makes.context(), adder = adds.context();
  adder.Run(Fill{.y = sum, .value = 0});
  for (int round = 1; round <= rounds; ++round) {
    if (ordered) makes.Follow(adds);
    maker.Run(Fill{.y = value, .value = static_cast<float>(round)});
    if (ordered) adds.Follow(makes);
    adder.Run(Add{.x = value, .y = sum});
  }
  EXPECT_TRUE(cuda::Synchronize(adds.get()).ok());
  EXPECT_TRUE(cuda::Synchronize(makes.get()).ok());
  std::vector<float> result(kN);
  sum_memory.CopyTo(reinterpret_cast<char*>(result.data()));
  return result;
}

TEST(StreamTest, AnEventOrdersTwoStreams) {
  if (CudaBackends().empty()) GTEST_SKIP() << "no CUDA device";
  const std::vector<float> expected(kN, 1 + 2 + 3 + 4 + 5 + 6 + 7);
  ForEachSchedule([&] { EXPECT_EQ(SumOfRounds(7, true), expected); });
}

// Or the test above could not fail.
TEST(StreamTest, TheEmulatorTakesLibertiesWithoutOne) {
  if (CudaBackends().empty() || !cuda::IsEmulated()) GTEST_SKIP() << "a GPU may or may not";
  const std::vector<float> expected(kN, 1 + 2 + 3 + 4 + 5 + 6 + 7);
  int wrong = 0;
  ForEachSchedule([&] { wrong += SumOfRounds(7, false) != expected ? 1 : 0; });
  EXPECT_GT(wrong, 0);
}

}  // namespace
}  // namespace ingot
