#include "kernels/cuda/repeated_work.h"

#include <vector>

#include "kernels/add.h"
#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

struct Data {
  Data() : x(4 * sizeof(float)), y(4 * sizeof(float)) {
    const std::vector<float> values = {1, 2, 3, 4};
    x.CopyFrom(reinterpret_cast<const char*>(values.data()));
    y.CopyFrom(reinterpret_cast<const char*>(values.data()));
  }
  // y += x
  void Enqueue() const {
    Context ctx({}, Device::kCuda, CudaMemory::Stream());
    ctx.Run(Add{.x = Tensor(x.data(), DType::kF32, {4}), .y = Tensor(y.data(), DType::kF32, {4})});
  }
  std::vector<float> Y() const {
    std::vector<float> values(4);
    y.CopyTo(reinterpret_cast<char*>(values.data()));
    return values;
  }
  CudaMemory x, y;
};

TEST(RepeatedWork, RunsOnceEachTime) {
  if (CudaBackends().empty()) GTEST_SKIP() << "needs a GPU, or the emulator";
  const Data data;
  cuda::RepeatedWork work(CudaMemory::Stream());
  int calls = 0;
  for (float run = 1; run <= 5; ++run) {
    const absl::Status status = work.Enqueue([&] {
      ++calls;
      data.Enqueue();
    });
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_EQ(data.Y(), (std::vector<float>{1 + run, 2 + 2 * run, 3 + 3 * run, 4 + 4 * run}));
  }
  EXPECT_EQ(calls, 2) << "as it is, and to be captured";
  work.Forget();
  ASSERT_TRUE(work.Enqueue([&] { ++calls; }).ok());
  EXPECT_EQ(calls, 3);
}

TEST(RepeatedWorkDeathTest, MayNotWaitWhileItIsCaptured) {
  if (CudaBackends().empty() || !cuda::IsEmulated()) GTEST_SKIP() << "a GPU reports it as an error";
  cuda::RepeatedWork work(CudaMemory::Stream());
  const auto wait = [] { CudaMemory::Finish(absl::OkStatus()); };
  ASSERT_TRUE(work.Enqueue(wait).ok());
  EXPECT_DEATH(work.Enqueue(wait).IgnoreError(), "waited for while its work is captured");
}

}  // namespace
}  // namespace ingot
