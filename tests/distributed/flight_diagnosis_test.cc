#include "distributed/flight_diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ingot {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Kind = Diagnosis::Kind;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kNow = 1000 * kSecond;

// Ranks of a run that does one exchange a step, all of them through with exchange 50 in step 50.
class Records {
 public:
  explicit Records(int64_t ranks) : all(static_cast<size_t>(ranks)) {
    for (int64_t rank = 0; rank < ranks; ++rank) {
      FlightFile& file = all[rank].file;
      file.rank = rank;
      file.ranks = ranks;
      file.pid = 100 + rank;
      file.host = "node";
      for (uint64_t step = 40; step <= 50; ++step) {
        Phases(rank, step, Phase::kCompute, kNow - 500 * kSecond);
        Exchange(rank, step, FlightState::kEntered);
        Exchange(rank, step, FlightState::kDone);
      }
    }
  }
  void Add(int64_t rank, const FlightEvent& event, int64_t time) {
    auto& entries = all[rank].file.entries;
    entries.push_back({.index = entries.size(), .unix_nanoseconds = time, .event = event});
  }
  void Phases(int64_t rank, uint64_t step, Phase phase, int64_t time) {
    Add(rank, {.step = static_cast<uint32_t>(step), .phase = phase}, time);
  }
  void Exchange(int64_t rank, uint64_t sequence, FlightState state, uint32_t bucket = 0,
                int64_t time = kNow - 500 * kSecond) {
    Add(rank,
        {.step = static_cast<uint32_t>(sequence),
         .phase = Phase::kReduce,
         .op = FlightOp::kExchange,
         .state = state,
         .bucket = bucket,
         .bytes = 4096,
         .sequence = sequence},
        time);
  }
  void Left(int64_t rank, int code, const std::string& note = "") {
    all[rank].file.ended = true;
    all[rank].file.exit_code = code;
    all[rank].file.note = note;
    all[rank].process = ProcessState::kGone;
  }
  void Processes(ProcessState state) {
    for (RankEvidence& rank : all) rank.process = state;
  }
  Diagnosis Found() const { return Diagnose(all, kNow); }

  std::vector<RankEvidence> all;
};

TEST(Diagnose, AFinishedRun) {
  Records run(2);
  for (const int64_t rank : {0, 1}) run.Left(rank, 0);
  EXPECT_EQ(run.Found().kind, Kind::kFinished);
  for (const int64_t rank : {0, 1}) run.Left(rank, 75);
  EXPECT_THAT(run.Found().finding, HasSubstr("has saved"));
}

TEST(Diagnose, ARunningOne) {
  Records run(2);
  run.Processes(ProcessState::kRunning);
  run.Phases(0, 51, Phase::kData, kNow - kSecond);
  EXPECT_EQ(run.Found().kind, Kind::kRunning);
  EXPECT_EQ(run.Found().ranks.size(), 2u);
}

// Rank 2 never comes to exchange 51; the others wait in it and leave in the end.
TEST(Diagnose, NamesTheRankThatHangs) {
  for (const bool left : {false, true}) {
    Records run(4);
    run.Processes(ProcessState::kRunning);
    run.Phases(2, 51, Phase::kData, kNow - 300 * kSecond);
    for (const int64_t rank : {0, 1, 3}) {
      run.Exchange(rank, 51, FlightState::kEntered, 0, kNow - 299 * kSecond);
      if (left) run.Left(rank, 74);
    }
    const Diagnosis found = run.Found();
    EXPECT_EQ(found.kind, Kind::kHung);
    EXPECT_THAT(found.culprits, ElementsAre(2));
    EXPECT_THAT(found.finding,
                AllOf(HasSubstr("rank 2 (node, pid 102) hangs in step 51, data"), HasSubstr("exchange 51")));
    EXPECT_THAT(found.ranks[0],
                AllOf(HasSubstr("step 51, reduce, in exchange 51 of 4096 bytes"), HasSubstr("299.0 s")));
  }
}

TEST(Diagnose, NamesTheRankThatDied) {
  Records run(3);
  run.Phases(1, 51, Phase::kCompute, kNow - 100 * kSecond);
  for (const int64_t rank : {0, 2}) {
    run.Exchange(rank, 51, FlightState::kEntered);
    run.Left(rank, 74, "rank 1: its connection closed");
  }
  for (const ProcessState seen : {ProcessState::kGone, ProcessState::kUnknown}) {  // here, and on another machine
    run.all[1].process = seen;
    const Diagnosis found = run.Found();
    EXPECT_EQ(found.kind, Kind::kDied);
    EXPECT_THAT(found.culprits, ElementsAre(1));
    EXPECT_THAT(found.finding, HasSubstr("rank 1 (node, pid 101) died in step 51, compute"));
  }
}

TEST(Diagnose, AllKilledAtOnce) {
  Records run(3);
  run.Processes(ProcessState::kGone);
  for (const int64_t rank : {0, 1, 2}) run.Phases(rank, 51, Phase::kOptimizer, kNow - (10 + rank) * kSecond);
  const Diagnosis found = run.Found();
  EXPECT_EQ(found.kind, Kind::kDied);
  EXPECT_THAT(found.culprits, ElementsAre(2, 1, 0)) << "the one that moved last comes last";
  EXPECT_THAT(found.finding, HasSubstr("all ranks died; first rank 2 (node, pid 102) died in step 51, optimizer"));
}

TEST(Diagnose, NamesTheRankThatFailed) {
  Records run(3);
  run.Left(0, 74);
  run.Left(1, 1, "disk full");
  run.Left(2, 74);
  const Diagnosis found = run.Found();
  EXPECT_EQ(found.kind, Kind::kFailed);
  EXPECT_THAT(found.culprits, ElementsAre(1));
  EXPECT_THAT(found.finding, AllOf(HasSubstr("exit code 1"), HasSubstr("disk full")));
}

TEST(Diagnose, NamesTheRankThatIsStopped) {
  Records run(2);
  run.Processes(ProcessState::kRunning);
  run.all[1].process = ProcessState::kStopped;
  run.Phases(0, 51, Phase::kData, kNow - kSecond);
  const Diagnosis found = run.Found();
  EXPECT_EQ(found.kind, Kind::kStopped);
  EXPECT_THAT(found.culprits, ElementsAre(1));
  EXPECT_THAT(found.advice, HasSubstr("kill -CONT 101"));
}

TEST(Diagnose, NamesTheRankOnAnotherCourse) {
  Records run(3);
  run.Processes(ProcessState::kRunning);
  for (const int64_t rank : {0, 1, 2}) run.Exchange(rank, 51, FlightState::kEntered, rank == 1 ? 7 : 0);
  const Diagnosis found = run.Found();
  EXPECT_EQ(found.kind, Kind::kDiverged);
  EXPECT_THAT(found.culprits, ElementsAre(1));
  EXPECT_THAT(found.finding,
              AllOf(HasSubstr("exchange 51 was step 51, reduce, bucket 7 on rank 1"), HasSubstr("bucket 0 on rank")));
}

// One rank's exchange begins while it computes, another's when it has nothing else to do.
TEST(Diagnose, ExchangesBesideTheComputationAreOneCourse) {
  Records run(3);
  run.Processes(ProcessState::kRunning);
  const Phase phases[] = {Phase::kCompute, Phase::kReduce, Phase::kData};
  for (const int64_t rank : {0, 1, 2}) {
    run.Exchange(rank, 51, FlightState::kEntered);
    run.all[rank].file.entries.back().event.phase = phases[rank];
  }
  EXPECT_EQ(run.Found().kind, Kind::kNetwork);
  run.all[1].file.entries.back().event.phase = Phase::kSave;
  EXPECT_EQ(run.Found().kind, Kind::kDiverged);
}

TEST(Diagnose, AllInOneExchangeIsTheNetwork) {
  Records run(3);
  run.Processes(ProcessState::kUnknown);
  for (const int64_t rank : {0, 1, 2}) run.Exchange(rank, 51, FlightState::kEntered);
  EXPECT_EQ(run.Found().kind, Kind::kNetwork);
  EXPECT_THAT(run.Found().culprits, IsEmpty());
}

TEST(Diagnose, OneProcessThatHangs) {
  Records run(1);
  run.Processes(ProcessState::kRunning);
  run.Phases(0, 51, Phase::kSave, kNow - 700 * kSecond);
  run.Left(0, 74, "step 51: expected the phase \"save\" to end");
  const Diagnosis found = run.Found();
  EXPECT_EQ(found.kind, Kind::kHung);
  EXPECT_THAT(found.finding, HasSubstr("hangs in step 51, save"));
}

TEST(Diagnose, ARankWithoutARecord) {
  Records run(3);
  run.Processes(ProcessState::kRunning);
  run.all.pop_back();
  EXPECT_EQ(run.Found().kind, Kind::kIncomplete);
  EXPECT_THAT(run.Found().finding, HasSubstr("of 3 ranks only 2"));
}

}  // namespace
}  // namespace ingot
