// The table of seeded bugs: each must be found in at least the mode it names, under the schedules it names; kernels
// without a mistake must pass everywhere. One run is one child process.
#include "tests/kernels/emulator/seeded_bugs.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/emulator/options.h"
#include "kernels/emulator/race.h"
#include "kernels/emulator/sanitizer.h"

namespace ingot {
namespace {

using emulator::Copies;
using emulator::Options;
using emulator::Schedule;

struct Outcome {
  bool passed;       // right numbers and no error
  std::string text;  // standard error; "wrong result" where only the numbers were wrong
};

Outcome RunInChild(Bug bug, const Options& options) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    close(ends[0]);
    emulator::SetOptions(options);
    const bool right = ResultIsRight(bug);
    if (!right) std::fprintf(stderr, "wrong result\n");
    std::fflush(stderr);
    _exit(right ? 0 : 1);
  }
  close(ends[1]);
  Outcome outcome{};
  char buffer[4096];
  for (ssize_t n = 0; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
    outcome.text.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  outcome.passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return outcome;
}

std::vector<Options> AllOptions() {
  std::vector<Options> all;
  for (const Copies copies : {Copies::kEarly, Copies::kLate, Copies::kRandom}) {
    for (const Schedule schedule : {Schedule::kForward, Schedule::kReverse}) all.push_back({schedule, copies, 1});
    for (const Schedule schedule : {Schedule::kRandom, Schedule::kPct}) {
      for (const uint64_t seed : {1u, 2u, 3u}) all.push_back({schedule, copies, seed});
    }
  }
  return all;
}

enum class Found { kAlways, kSometimes, kNever };

struct Row {
  const char* name;
  Bug bug;
  Found plain;             // without a sanitizer
  const char* plain_text;  // part of what some run prints
  Found asan;
  Found race;
  const char* race_text;
};

constexpr Row kRows[] = {
    {"Control_rows", Bug::kNone, Found::kNever, "", Found::kNever, Found::kNever, ""},
    {"Control_pipeline", Bug::kPipelineNone, Found::kNever, "", Found::kNever, Found::kNever, ""},
    {"Control_syncwarp", Bug::kSyncwarpNone, Found::kNever, "", Found::kNever, Found::kNever, ""},
    {"Control_atomics", Bug::kAllBlocksWriteAtomically, Found::kNever, "", Found::kNever, Found::kNever, ""},
    {"Control_last_block", Bug::kLastBlockNone, Found::kNever, "", Found::kNever, Found::kNever, ""},
    {"No_barrier_after_write", Bug::kNoBarrierAfterWrite, Found::kAlways, "wrong result", Found::kAlways,
     Found::kAlways, "race \\(read of what was never written|race \\(write-read"},
    {"No_barrier_before_reuse", Bug::kNoBarrierBeforeReuse, Found::kSometimes, "wrong result", Found::kSometimes,
     Found::kAlways, "race \\(read-write"},
    {"Read_past_the_end", Bug::kReadPastTheEnd, Found::kAlways, "wrong result", Found::kAlways, Found::kAlways,
     "beyond the end of device memory 'w'"},
    {"Shared_overrun", Bug::kSharedOverrun, Found::kAlways, "behind the end of it|wrong result", Found::kAlways,
     Found::kAlways, "beyond the end of shared memory"},
    {"Wait_too_lax", Bug::kWaitTooLax, Found::kSometimes, "wrong result", Found::kSometimes, Found::kAlways,
     "race \\(write-read.*copy"},
    {"No_barrier_after_wait", Bug::kNoBarrierAfterWait, Found::kSometimes, "wrong result", Found::kSometimes,
     Found::kAlways, "race \\(read of what was never written|race \\(write-read"},
    {"No_barrier_before_overwrite", Bug::kNoBarrierBeforeOverwrite, Found::kSometimes, "wrong result",
     Found::kSometimes, Found::kAlways, "race \\(read-write.*copy"},
    {"Copy_not_waited_for", Bug::kCopyNotWaitedFor, Found::kAlways, "exited without waiting for this copy",
     Found::kAlways, Found::kAlways, "exited without waiting for this copy"},
    {"Copy_twice_in_one_group", Bug::kCopyTwiceInOneGroup, Found::kAlways, "two copies of one group", Found::kAlways,
     Found::kAlways, "two copies of one group"},
    {"No_syncwarp", Bug::kNoSyncwarp, Found::kNever, "", Found::kNever, Found::kAlways, "race \\(write-read"},
    {"Uninitialised_read", Bug::kUninitialisedRead, Found::kAlways, "wrong result", Found::kAlways, Found::kAlways,
     "race \\(read of what was never written"},
    {"All_blocks_write", Bug::kAllBlocksWrite, Found::kNever, "", Found::kNever, Found::kAlways,
     "race \\(between blocks"},
    {"Last_block_without_fence", Bug::kLastBlockWithoutFence, Found::kNever, "", Found::kNever, Found::kAlways,
     "race \\(between blocks"},
    {"Exit_before_barrier", Bug::kExitBeforeBarrier, Found::kAlways, "has exited|have exited", Found::kAlways,
     Found::kAlways, "has exited|have exited"},
    {"Divergent_barrier", Bug::kDivergentBarrier, Found::kAlways, "divergent barrier 0.*seeded_bugs.cu:[0-9]+:[0-9]+",
     Found::kAlways, Found::kAlways, "divergent barrier"},
    {"Unequal_barrier_counts", Bug::kUnequalBarrierCounts, Found::kAlways, "have exited|deadlock", Found::kAlways,
     Found::kAlways, "have exited|deadlock"},
    {"Lanes_missing", Bug::kLanesMissing, Found::kAlways, "deadlock|has exited", Found::kAlways, Found::kAlways,
     "deadlock|has exited"},
    {"Shuffle_from_outside_the_mask", Bug::kShuffleFromOutsideTheMask, Found::kAlways, "not in mask 0000ffff",
     Found::kAlways, Found::kAlways, "not in mask 0000ffff"},
    {"Misaligned_vector", Bug::kMisalignedVector, Found::kAlways, "misaligned access at .*seeded_bugs.cu:[0-9]+",
     Found::kAlways, Found::kAlways, "misaligned access"},
    {"Misaligned_scalar", Bug::kMisalignedScalar, Found::kNever, "", Found::kAlways, Found::kAlways,
     "misaligned access"},
    {"Barrier_of_odd_count", Bug::kBarrierOfOddCount, Found::kAlways, "multiple of 32", Found::kAlways, Found::kAlways,
     "multiple of 32"},
    {"Device_overrun", Bug::kDeviceOverrun, Found::kAlways, "device memory 'out' of 256 bytes: a byte was written",
     Found::kAlways, Found::kAlways, "beyond the end of device memory 'out'"},
    {"Too_much_shared", Bug::kTooMuchShared, Found::kAlways, "at most 232448", Found::kAlways, Found::kAlways,
     "at most 232448"},
    {"Too_many_threads", Bug::kTooManyThreads, Found::kAlways, "1 to 1024", Found::kAlways, Found::kAlways,
     "1 to 1024"},
    {"Control_hopper", Bug::kHopperNone, Found::kNever, "", Found::kNever, Found::kNever, ""},
    {"Control_operand_stored", Bug::kOperandStoredNone, Found::kNever, "", Found::kNever, Found::kNever, ""},
    {"Control_tensor_store", Bug::kTensorStoreNone, Found::kNever, "", Found::kNever, Found::kNever, ""},
    {"Control_ring", Bug::kRingNone, Found::kNever, "", Found::kNever, Found::kNever, ""},
    {"Released_by_a_lane_alone", Bug::kReleasedByALaneAlone, Found::kSometimes, "deadlock|wrong result",
     Found::kSometimes, Found::kAlways, "race \\(read-write"},
    {"No_barrier_after_init", Bug::kNoBarrierAfterInit, Found::kSometimes, "no mbarrier has been initialised",
     Found::kSometimes, Found::kAlways, "race \\(write-read|no mbarrier has been initialised"},
    {"No_fence_after_init", Bug::kNoFenceAfterInit, Found::kAlways, "no fence.mbarrier_init", Found::kAlways,
     Found::kAlways, "no fence.mbarrier_init"},
    {"Nothing_expected", Bug::kNothingExpected, Found::kAlways, "deadlock|wrong result", Found::kAlways, Found::kAlways,
     "deadlock|race"},
    {"Half_expected", Bug::kHalfExpected, Found::kAlways, "expected too few bytes", Found::kAlways, Found::kAlways,
     "expected too few bytes|race"},
    {"Wrong_parity_of_consumer", Bug::kWrongParityOfConsumer, Found::kAlways, "deadlock|wrong result", Found::kAlways,
     Found::kAlways, "deadlock|race"},
    {"Wrong_parity_of_producer", Bug::kWrongParityOfProducer, Found::kAlways, "deadlock", Found::kAlways,
     Found::kAlways, "deadlock"},
    {"Producer_does_not_wait", Bug::kProducerDoesNotWait, Found::kSometimes, "wrong result|more arrivals|deadlock",
     Found::kSometimes, Found::kAlways, "race \\(read-write|race \\(write-write"},
    {"Consumer_does_not_wait", Bug::kConsumerDoesNotWait, Found::kSometimes, "wrong result", Found::kSometimes,
     Found::kAlways, "race \\(write-read|race \\(read of what was never written"},
    {"One_warp_does_not_wait", Bug::kOneWarpDoesNotWait, Found::kNever, "", Found::kNever, Found::kAlways,
     "race \\(write-read"},
    {"Released_before_read", Bug::kReleasedBeforeRead, Found::kSometimes, "wrong result", Found::kSometimes,
     Found::kAlways, "race \\(read-write"},
    {"Arrives_twice", Bug::kArrivesTwice, Found::kAlways, "more arrivals than", Found::kAlways, Found::kAlways,
     "more arrivals than"},
    {"No_wgmma_fence", Bug::kNoWgmmaFence, Found::kAlways, "no wgmma.fence", Found::kAlways, Found::kAlways,
     "no wgmma.fence"},
    {"Accumulator_read", Bug::kAccumulatorRead, Found::kAlways, "wrong result", Found::kAlways, Found::kAlways,
     "accumulator read at .*before wgmma.wait_group"},
    {"Accumulator_written", Bug::kAccumulatorWritten, Found::kAlways, "was written before the wait", Found::kAlways,
     Found::kAlways, "accumulator written at .*before wgmma.wait_group"},
    {"Wgmma_not_waited_for", Bug::kWgmmaNotWaitedFor, Found::kAlways, "ended without waiting", Found::kAlways,
     Found::kAlways, "before wgmma.wait_group"},
    {"Wrong_swizzle", Bug::kWrongSwizzle, Found::kAlways, "wrong result", Found::kAlways, Found::kAlways,
     "wrong result"},
    {"Wrong_stride", Bug::kWrongStride, Found::kAlways, "wrong result", Found::kAlways, Found::kAlways, "wrong result"},
    {"Tile_off_its_period", Bug::kTileOffItsPeriod, Found::kAlways, "multiple of 1024", Found::kAlways, Found::kAlways,
     "multiple of 1024"},
    {"Descriptors_differ", Bug::kDescriptorsDiffer, Found::kAlways, "thread 77 .*other descriptors", Found::kAlways,
     Found::kAlways, "thread 77 .*other descriptors"},
    {"Mbarrier_overwritten", Bug::kMbarrierOverwritten, Found::kAlways, "stored over the mbarrier", Found::kAlways,
     Found::kAlways, "stored over the mbarrier"},
    {"Operand_stored_without_proxy_fence", Bug::kOperandStoredWithoutProxyFence, Found::kNever, "", Found::kNever,
     Found::kAlways, "race \\(missing fence.proxy.async"},
    {"Too_few_registers", Bug::kTooFewRegisters, Found::kAlways, "setmaxnreg.inc", Found::kAlways, Found::kAlways,
     "setmaxnreg.inc"},
    {"Stored_without_proxy_fence", Bug::kStoredWithoutProxyFence, Found::kNever, "", Found::kNever, Found::kAlways,
     "race \\(missing fence.proxy.async"},
    {"Store_not_waited_for", Bug::kStoreNotWaitedFor, Found::kAlways, "ended without waiting", Found::kAlways,
     Found::kAlways, "ended without waiting"},
    {"Buffer_written_while_read", Bug::kBufferWrittenWhileRead, Found::kSometimes, "wrong result", Found::kSometimes,
     Found::kAlways, "race \\(read-write"},
};

class SeededBugs : public testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(Table, SeededBugs, testing::ValuesIn(kRows),
                         [](const auto& row) { return std::string(row.param.name); });

TEST_P(SeededBugs, AreFound) {
  const Row& row = GetParam();
  const Found expected = emulator::kRaceBuild ? row.race : emulator::kPoisons ? row.asan : row.plain;
  const bool text_is_ours = emulator::kRaceBuild || !emulator::kPoisons;  // AddressSanitizer has words of its own
  int found = 0, runs = 0;
  std::string all;
  for (const Options& options : AllOptions()) {
    const Outcome outcome = RunInChild(row.bug, options);
    ++runs;
    found += !outcome.passed;
    all += outcome.text;
  }
  std::printf("%s: found in %d of %d runs\n", row.name, found, runs);
  if (expected == Found::kNever) {
    EXPECT_EQ(found, 0) << all;
  } else {
    EXPECT_GE(found, expected == Found::kAlways ? runs : 1) << all;
  }
  if (expected != Found::kNever && text_is_ours) {
    EXPECT_THAT(all, testing::ContainsRegex(emulator::kRaceBuild ? row.race_text : row.plain_text));
  }
}

}  // namespace
}  // namespace ingot
