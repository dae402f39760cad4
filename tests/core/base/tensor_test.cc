#include "core/base/tensor.h"

#include <vector>

#include "gtest/gtest.h"

namespace ingot {
namespace {

TEST(TensorTest, CountsAndShapes) {
  std::vector<float> memory(24);
  const Tensor t(memory.data(), DType::kF32, {2, 3, 4}), absent;
  EXPECT_EQ(Count(t), 24);
  EXPECT_EQ(Bytes(t), 96);
  EXPECT_EQ(t.dim(2), 4);
  EXPECT_TRUE(HasShape(t, {2, 3, 4}));
  EXPECT_FALSE(HasShape(t, {2, 3}));
  EXPECT_FALSE(HasShape(t, {2, 4, 3}));
  EXPECT_TRUE(absent.absent());
  EXPECT_EQ(Count(absent), 0);
  EXPECT_EQ(Bytes(Tensor(nullptr, DType::kBf16, {int64_t{1} << 20, int64_t{1} << 20})), int64_t{1} << 41);
}

TEST(TensorTest, SlicesAndReshapesShareMemory) {
  std::vector<float> memory(24);
  const Tensor t(memory.data(), DType::kF32, {4, 6});
  EXPECT_EQ(Slice(t, 6, {3, 6}).data<float>(), memory.data() + 6);
  EXPECT_EQ(Reshaped(t, {24}).data<float>(), memory.data());
  EXPECT_EQ(Slice(Tensor(nullptr, DType::kF32, {4, 6}), 6, {6}).ptr, nullptr);
}

TEST(TensorDeathTest, ProgrammersErrors) {
  std::vector<float> memory(24);
  const Tensor t(memory.data(), DType::kF32, {4, 6});
  EXPECT_DEATH(t.dim(2), "rank 2");
  EXPECT_DEATH(t.data<int32_t>(), "f32");
  EXPECT_DEATH(Reshaped(t, {5, 5}), "number of elements");
  EXPECT_DEATH(Slice(t, 20, {5}), "outside");
  EXPECT_DEATH(Slice(t, -1, {5}), "outside");
  EXPECT_DEATH(INGOT_CHECK_SHAPE(t, 6, 4), "t must be \\(6, 4\\)");
}

}  // namespace
}  // namespace ingot
