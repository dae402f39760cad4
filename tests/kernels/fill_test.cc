#include "kernels/fill.h"

#include "tests/kernels/op_test.h"

namespace ingot {
namespace {

TEST(FillTest, FillsTheTensorAndNothingElse) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    for (const int64_t N : {1, 7, 8, 33, 20001}) {
      Floats memory(N + 2, -1.0f), expected(N + 2, 2.5f);
      expected.front() = expected.back() = -1;
      RunOp(Fill{.y = Tensor(memory.data() + 1, backend.scalar, {N}), .value = 2.5f});
      EXPECT_EQ(memory, expected);
    }
  }
}

TEST(FillTest, AnyShape) {
  for (const Backend& backend : AllBackends()) {
    const OnBackend on(backend);
    Floats y = Nans(24);
    RunOp(Fill{.y = ScalarView(y, {2, 3, 4})});
    EXPECT_EQ(y, Floats(24, 0.0f));
  }
}

TEST(FillDeathTest, RefusesWrongArguments) {
  EXPECT_DEATH(RunOp(Fill{.y = {}}), "missing");
  EXPECT_DEATH(RunOp(Fill{.y = Tensor(nullptr, DType::kF32, {3})}), "no memory");
  EXPECT_DEATH(RunOp(Fill{.y = Tensor(nullptr, DType::kI32, {3})}), "not f32");
}

}  // namespace
}  // namespace ingot
