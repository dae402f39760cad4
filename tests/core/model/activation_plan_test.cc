#include "core/model/activation_plan.h"

#include <gtest/gtest.h>

#include "core/base/arena.h"
#include "tests/core/model/test_models.h"

namespace ingot {
namespace {

std::vector<RunShape> Shapes() {
  std::vector<RunShape> shapes = {{.B = 2, .T = 24},
                                  {.B = 2, .T = 24, .training = true},
                                  {.B = 2, .T = 24, .training = true, .recompute_block = true},
                                  {.B = 2, .T = 24, .training = true, .recompute_mlp = true}};
  for (size_t i = 0; i < 4; ++i) {
    shapes.push_back(shapes[i]);
    shapes.back().fp8 = {.blocks = true};
  }
  return shapes;
}

bool LiveTogether(const ActivationSpec& a, const ActivationSpec& b) { return a.first <= b.last && b.first <= a.last; }

void ExpectApart(const ActivationPlan& plan, size_t i, size_t j) {
  const ActivationSpec &a = plan.specs()[i], &b = plan.specs()[j];
  const bool kept = a.policy == Policy::kKeep;
  if (kept != (b.policy == Policy::kKeep)) return;  // regions of their own
  if (!kept && !LiveTogether(a, b)) return;
  EXPECT_TRUE(plan.offset(i) + plan.size(i) <= plan.offset(j) || plan.offset(j) + plan.size(j) <= plan.offset(i))
      << a.name << " and " << b.name;
}

TEST(ActivationPlan, LiveTensorsDoNotOverlapAndPeakCoversEveryCut) {
  for (const Variant& variant : Variants()) {
    for (const RunShape& shape : Shapes()) {
      const ActivationPlan plan(ListActivations(variant.dims, shape), variant.dims.L);
      for (size_t i = 0; i < plan.specs().size(); ++i) {
        for (size_t j = 0; j < i; ++j) ExpectApart(plan, i, j);
      }
      for (int op = 0; op <= static_cast<int>(Op::kFinalNormBackward); ++op) {
        int64_t live = 0;
        for (size_t i = 0; i < plan.specs().size(); ++i) {
          const ActivationSpec& spec = plan.specs()[i];
          const bool lives = static_cast<int>(spec.first) <= op && op <= static_cast<int>(spec.last);
          if (spec.policy != Policy::kKeep && lives) live += plan.size(i);
        }
        EXPECT_GE(plan.temporary_bytes(), live);
      }
    }
  }
}

// What runs again before a layer's backward writes none of what that backward has.
TEST(ActivationPlan, WhatIsComputedAgainDoesNotOverwriteTheGradient) {
  for (const Variant& variant : Variants()) {
    for (const RunShape& shape : Shapes()) {
      if (!shape.recompute_block && !shape.recompute_mlp) continue;
      const ActivationPlan plan(ListActivations(variant.dims, shape), variant.dims.L);
      size_t dx = 0;
      while (plan.specs()[dx].name != "dx") ++dx;
      for (size_t i = 0; i < plan.specs().size(); ++i) {
        const ActivationSpec& spec = plan.specs()[i];
        if (i == dx || spec.policy == Policy::kKeep || spec.first >= Op::kDownBackward) continue;
        EXPECT_TRUE(plan.offset(i) + plan.size(i) <= plan.offset(dx) ||
                    plan.offset(dx) + plan.size(dx) <= plan.offset(i))
            << variant.name << ": " << spec.name;
      }
    }
  }
}

TEST(ActivationPlan, PlacementIsTightOnASimpleChain) {
  const auto tensor = [](const char* name, int64_t n, Op first, Op last) {
    return ActivationSpec{.name = name, .shape = {n}, .first = first, .last = last};
  };
  const ActivationPlan plan({tensor("a", 6400, Op::kNorm1, Op::kQkv), tensor("b", 12800, Op::kQkv, Op::kHeads),
                             tensor("c", 6400, Op::kHeads, Op::kAttention)},
                            1);
  EXPECT_EQ(plan.temporary_bytes(), Arena::Aligned(6400 * 4) + Arena::Aligned(12800 * 4));
  EXPECT_EQ(plan.offset(0), plan.offset(2));  // c takes the place of a
}

TEST(ActivationPlan, RecomputingKeepsLess) {
  const ModelDims dims = Variants()[0].dims;
  const auto kept = [&](const RunShape& shape) {
    return ActivationPlan(ListActivations(dims, shape), dims.L).kept_bytes();
  };
  const std::vector<RunShape> shapes = Shapes();
  EXPECT_EQ(kept(shapes[0]), 0);
  EXPECT_LT(kept(shapes[3]), kept(shapes[1]));
  EXPECT_LT(kept(shapes[2]), kept(shapes[3]));
  EXPECT_EQ(kept(shapes[2]), dims.L * Arena::Aligned(2 * 24 * dims.C * 4));  // a block's input only
}

}  // namespace
}  // namespace ingot
