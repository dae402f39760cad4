#include "kernels/copy.h"

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

TEST(CopyTest, CopiesTheTensorAndNothingElse) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t N : {0, 1, 7, 8, 33, 20001}) {
      Floats x = Normal(N, 1), memory(N + 2, -1.0f), expected = memory;
      std::copy(x.begin(), x.end(), expected.begin() + 1);
      RunOp(Copy{.x = View(x, {N}), .y = Tensor(memory.data() + 1, DType::kF32, {N})});
      EXPECT_EQ(memory, expected);
    }
  }
}

TEST(CopyDeathTest, RefusesWrongArguments) {
  Floats x(4), y(4);
  EXPECT_DEATH(RunOp(Copy{.x = View(x, {4}), .y = View(y, {3})}), "4 elements into 3");
  EXPECT_DEATH(RunOp(Copy{.x = View(x, {4}), .y = View(x, {4})}), "shares memory");
  EXPECT_DEATH(RunOp(Copy{.x = View(x, {4}), .y = Tensor(y.data(), DType::kI32, {4})}), "f32 into i32");
  EXPECT_DEATH(RunOp(Copy{.x = View(x, {4}), .y = Tensor(nullptr, DType::kF32, {4})}), "no memory");
}

}  // namespace
}  // namespace ingot
