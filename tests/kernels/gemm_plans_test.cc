// The table of plans, in every build: it needs no GPU.
#include "kernels/cuda/gemm_plans.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ingot::cuda {
namespace {

using testing::HasSubstr;

alignas(16) char memory[64];

Tensor At(int64_t byte, DType type, int64_t rows, int64_t columns) {
  return Tensor(memory + byte, type, {rows, columns});
}

GemmPlanTable Example() {
  return {.machine = {.device = "NVIDIA H100 80GB HBM3, 132 multiprocessors", .library = "cuBLASLt 13.1.0"},
          .plans = {{"bf16,f32,tn,896x4864x16384,accumulate,aligned",
                     {.algorithm = {1, 0xffffffffffffffff, 0, 3, 4, 5, 6, 0x123456789abcdef0},
                      .workspace_bytes = 33'554'432,
                      .microseconds = 180.0625}},
                    {"bf16,bf16,nt,3x5x7,bias", {.kind = GemmPlan::Kind::kTiled}},
                    {"bf16,bf16,nt,8x8x8,aligned", {.kind = GemmPlan::Kind::kSm90, .microseconds = 2.5}},
                    {"swiglu,16384x4864x896", {.kind = GemmPlan::Kind::kParts, .microseconds = 500}}}};
}

TEST(GemmPlans, KeyTellsWhatDecidesAPlan) {
  const Gemm plain = {.a = At(0, DType::kBf16, 2, 3), .b = At(0, DType::kBf16, 3, 4), .c = At(0, DType::kF32, 2, 4)};
  EXPECT_EQ(PlanKey(plain), "bf16,f32,nn,2x4x3,aligned");
  Gemm other = plain;
  other.a = At(2, DType::kBf16, 3, 2);
  other.b = At(0, DType::kBf16, 4, 3);
  other.transpose_a = other.transpose_b = true;
  other.beta = 1;
  other.bias = Tensor(memory, DType::kF32, {4});
  EXPECT_EQ(PlanKey(other), "bf16,f32,tt,2x4x3,accumulate,bias");
  SwigluGemm fused;
  fused.x = At(0, DType::kBf16, 2, 3);
  fused.y = At(0, DType::kBf16, 2, 4);
  EXPECT_EQ(PlanKey(fused), "swiglu,2x4x3");
  Gemm active = plain;
  active.epilogue = GemmEpilogue::kGelu;
  active.aux = At(0, DType::kF32, 2, 4);
  active.a_sums = Tensor(memory, DType::kF32, {2});
  EXPECT_EQ(PlanKey(active), "bf16,f32,nn,2x4x3,gelu,a_sums,aligned");
  Gemm scaled = plain;
  scaled.alpha = 0.25f;  // any plan computes any alpha
  EXPECT_EQ(PlanKey(scaled), PlanKey(plain));
}

TEST(GemmPlans, TextAndBack) {
  const GemmPlanTable table = Example();
  const absl::StatusOr<GemmPlanTable> read = GemmPlanTable::Parse(table.ToText(), "plans");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->machine, table.machine);
  EXPECT_EQ(read->plans, table.plans);
}

TEST(GemmPlans, AnyChangedByteIsFound) {
  const std::string text = Example().ToText();
  for (size_t i = 0; i < text.size(); ++i) {
    for (const int bit : {0, 3, 6}) {
      std::string damaged = text;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << bit));
      EXPECT_FALSE(GemmPlanTable::Parse(damaged, "plans").ok()) << i;
    }
    EXPECT_FALSE(GemmPlanTable::Parse(text.substr(0, i), "plans").ok()) << i;
  }
  EXPECT_FALSE(GemmPlanTable::Parse(text + "x", "plans").ok());
}

// Lines whose checksum holds but which another program wrote.
TEST(GemmPlans, NamesTheLineItCannotRead) {
  const std::string line = "bf16,bf16,nt,3x5x7,bias 0 0 tiled";
  const auto problem_of = [&](const std::string& replacement) {
    GemmPlanTable table = Example();
    table.plans.clear();
    table.machine.library += "\n" + replacement;  // written as it stands
    return std::string(GemmPlanTable::Parse(table.ToText(), "plans").status().message());
  };
  EXPECT_EQ(problem_of(line), "");
  EXPECT_THAT(problem_of("a 1 2"), HasSubstr("found \"a 1 2\""));
  EXPECT_THAT(problem_of("a x 2 tiled"), HasSubstr("found \"a x 2 tiled\""));
  EXPECT_THAT(problem_of("a 1 -2 tiled"), HasSubstr("found \"a 1 -2 tiled\""));
  EXPECT_THAT(problem_of("a 1 2 0,1,2"), HasSubstr("found \"a 1 2 0,1,2\""));
  EXPECT_THAT(problem_of("a 1 2 0,1,2,3,4,5,6,g"), HasSubstr("found \"a 1 2 0,1"));
  EXPECT_THAT(problem_of(line + "\n" + line), HasSubstr("found"));
  GemmPlanTable table = Example();
  table.machine.device = "x\nno library";
  EXPECT_THAT(std::string(GemmPlanTable::Parse(table.ToText(), "plans").status().message()),
              HasSubstr("expected a line \"library"));
}

TEST(GemmPlans, StoreFindsWhatWasAddedAndKeepsItsOwnPlans) {
  GemmPlanStore store;
  EXPECT_FALSE(store.machine().has_value());
  EXPECT_FALSE(store.Find("a").has_value());
  const GemmPlanTable table = Example();
  store.SetMachine(table.machine);
  const std::string key = table.plans.begin()->first;
  const GemmPlan own = {.workspace_bytes = 1};
  store.Add(key, own);
  store.Adopt(table);
  EXPECT_EQ(store.Find(key), own);
  EXPECT_EQ(store.Find(table.plans.rbegin()->first), table.plans.rbegin()->second);
  EXPECT_EQ(store.Table().plans.size(), table.plans.size());
  EXPECT_EQ(store.Table().machine, table.machine);
}

TEST(GemmPlansDeathTest, PlansOfAnotherMachineAreNotTaken) {
  GemmPlanStore store;
  store.SetMachine({.device = "another GPU", .library = "cuBLASLt 13.1.0"});
  EXPECT_DEATH(store.Adopt(Example()), "on another machine");
}

}  // namespace
}  // namespace ingot::cuda
