// Attention's bits do not depend on the order of threads and blocks, nor on when asynchronous copies land, and its tiles
// are free of bank conflicts. Every shape goes round its pipelines at least stages + 2 times.
#include <vector>

#include "kernels/cached_attention.h"
#include "kernels/emulator/options.h"
#include "tests/kernels/attention_data.h"

namespace ingot {
namespace {

using emulator::Copies;
using emulator::Options;
using emulator::Schedule;

std::vector<Options> AllOptions() {
  std::vector<Options> all;
  for (const Schedule schedule : {Schedule::kForward, Schedule::kReverse, Schedule::kRandom, Schedule::kPct}) {
    for (const Copies copies : {Copies::kEarly, Copies::kLate, Copies::kRandom}) {
      all.push_back({.schedule = schedule, .copies = copies, .seed = 11});
    }
  }
  return all;
}

template <typename Body>
void ExpectSameBitsForSchedules(const Body& body) {
  for (const Backend& backend : CudaBackends()) {
    const OnBackend on(backend);
    std::vector<Floats> results;
    for (const Options& options : AllOptions()) {
      const emulator::ScopedOptions scoped(options);
      results.push_back(body());
    }
    ExpectSameBits(results, "schedule");
  }
}

class AttentionSchedules : public testing::TestWithParam<AttentionShape> {};

TEST_P(AttentionSchedules, SameBits) {
  const int64_t conflicts = emulator::CurrentCounters().bank_conflicts;
  ExpectSameBitsForSchedules([] {
    AttentionData data(GetParam());
    data.Run();
    return data.Outputs();
  });
  EXPECT_EQ(emulator::CurrentCounters().bank_conflicts, conflicts);
}

INSTANTIATE_TEST_SUITE_P(Shapes, AttentionSchedules,
                         testing::Values(AttentionShape{1, 1, 1, 257, 64},
                                         AttentionShape{1, 2, 1, 259, 80, {0, 60, 70}},
                                         AttentionShape{1, 1, 1, 200, 96, {0, 1}}, AttentionShape{1, 1, 1, 260, 128},
                                         AttentionShape{1, 3, 1, 66, 24}),
                         [](const auto& shape) { return shape.param.Name(); });

TEST(CachedAttentionSchedules, SameBits) {
  for (const int64_t N : {1, 70}) {
    ExpectSameBitsForSchedules([N] {
      const int64_t past = 200, P = 300;
      Floats q = Normal(2 * N * 64, 1), k = Normal(N * 64, 2), v = Normal(N * 64, 3), y = Nans(N * 128);
      Floats k_cache = Normal(P * 64, 4), v_cache = Normal(P * 64, 5);
      RunOp(CachedAttention{.q = ScalarView(q, {2, N, 64}),
                            .k_new = ScalarView(k, {1, N, 64}),
                            .v_new = ScalarView(v, {1, N, 64}),
                            .k_cache = ScalarView(k_cache, {1, P, 64}),
                            .v_cache = ScalarView(v_cache, {1, P, 64}),
                            .y = ScalarView(y, {N, 128}),
                            .past = past});
      return Joined({y, k_cache, v_cache});
    });
  }
}

}  // namespace
}  // namespace ingot
