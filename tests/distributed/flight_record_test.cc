#include "distributed/flight_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "distributed/flight_diagnosis.h"
#include "tests/temporary_directory.h"

namespace ingot {
namespace {

using ::testing::HasSubstr;

FlightEvent Exchange(uint32_t step, uint64_t sequence, FlightState state = FlightState::kEntered) {
  return {.step = step,
          .micro = 3,
          .phase = Phase::kReduce,
          .op = FlightOp::kExchange,
          .state = state,
          .bucket = 2,
          .bytes = 4096,
          .sequence = sequence};
}

TEST(FlightRecord, KeepsWhatWasAdded) {
  const TemporaryDirectory run;
  {
    const auto record = FlightRecord::Create(run.path(), 3, 4);
    ASSERT_TRUE(record.ok()) << record.status();
    (*record)->SetAttempt(77);
    (*record)->Add({.step = 5, .phase = Phase::kCompute});
    (*record)->Add(Exchange(6, 12, FlightState::kFailed));
    (*record)->End(74, std::string(1000, 'x'));
    (*record)->End(0, "a second end does not count");
  }
  const auto file = ReadFlightFile(FlightPath(run.path(), 3));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->rank, 3);
  EXPECT_EQ(file->ranks, 4);
  EXPECT_EQ(file->pid, getpid());
  EXPECT_EQ(file->attempt, 77u);
  EXPECT_EQ(file->boot_id.size(), 36u);
  EXPECT_TRUE(file->ended);
  EXPECT_EQ(file->exit_code, 74);
  EXPECT_EQ(file->note, std::string(255, 'x'));
  ASSERT_EQ(file->entries.size(), 2u);
  EXPECT_EQ(file->entries[0].event.phase, Phase::kCompute);
  const FlightEvent& event = file->entries[1].event;
  EXPECT_EQ(std::make_tuple(event.step, event.micro, event.phase, event.op, event.state),
            std::make_tuple(6u, 3, Phase::kReduce, FlightOp::kExchange, FlightState::kFailed));
  EXPECT_EQ(std::make_tuple(event.bucket, event.bytes, event.sequence), std::make_tuple(2u, 4096u, 12u));
  EXPECT_GE(file->entries[1].unix_nanoseconds, file->entries[0].unix_nanoseconds);
  EXPECT_GE(file->entries[0].unix_nanoseconds, file->start_unix_nanoseconds);
}

TEST(FlightRecord, KeepsTheLastOnes) {
  const TemporaryDirectory run;
  const auto record = FlightRecord::Create(run.path(), 0, 1, /*capacity=*/16);
  ASSERT_TRUE(record.ok());
  for (uint32_t i = 0; i < 100; ++i) (*record)->Add({.step = i});
  const auto file = ReadFlightFile(FlightPath(run.path(), 0));
  ASSERT_EQ(file->entries.size(), 16u);
  for (uint32_t i = 0; i < 16; ++i) {
    EXPECT_EQ(file->entries[i].index, 84 + i);
    EXPECT_EQ(file->entries[i].event.step, 84 + i);
  }
}

TEST(FlightRecord, ThreadsMayAddTogether) {
  const TemporaryDirectory run;
  const auto record = FlightRecord::Create(run.path(), 0, 1);
  std::vector<std::thread> threads;
  for (uint32_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&record, thread] {
      for (int i = 0; i < 500; ++i) (*record)->Add({.step = thread, .bytes = thread});
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto file = ReadFlightFile(FlightPath(run.path(), 0));
  ASSERT_EQ(file->entries.size(), 2000u);
  std::vector<int> count(4);
  for (const auto& entry : file->entries) {
    ASSERT_EQ(entry.event.step, entry.event.bytes);
    ++count[entry.event.step];
  }
  EXPECT_THAT(count, testing::Each(500));
}

TEST(FlightRecord, TheEarlierStartsRecordIsKeptBeside) {
  const TemporaryDirectory run;
  for (const uint32_t step : {1, 2}) (*FlightRecord::Create(run.path(), 0, 1))->Add({.step = step});
  EXPECT_EQ(ReadFlightFile(FlightPath(run.path(), 0))->entries[0].event.step, 2u);
  EXPECT_EQ(ReadFlightFile(run / "flight/rank-00000.previous.bin")->entries[0].event.step, 1u);
}

// 20 processes that write without pause, each killed at a random moment: every entry that is there is whole.
TEST(FlightRecord, SurvivesAKill) {
  const TemporaryDirectory run;
  std::mt19937 random(1);
  for (int64_t round = 0; round < 20; ++round) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      const auto record = FlightRecord::Create(run.path(), round, 20, 64);
      for (uint32_t i = 0;; ++i) (*record)->Add({.step = i, .bytes = i, .sequence = i});
    }
    while (!ReadFlightFile(FlightPath(run.path(), round)).ok()) usleep(200);
    usleep(std::uniform_int_distribution<useconds_t>(0, 3000)(random));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const auto file = ReadFlightFile(FlightPath(run.path(), round));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_FALSE(file->ended);
    for (const auto& entry : file->entries) {
      ASSERT_EQ(entry.event.step, entry.index);
      ASSERT_EQ(entry.event.bytes, entry.index);
      ASSERT_EQ(entry.event.sequence, entry.index);
    }
    EXPECT_GE(file->entries.size() + 1, std::min<size_t>(64, file->entries.empty() ? 0 : file->entries.back().index));
  }
}

TEST(FlightRecord, OtherFilesAreRefused) {
  const TemporaryDirectory run;
  (*FlightRecord::Create(run.path(), 0, 1))->Add({.step = 1});
  const std::string path = FlightPath(run.path(), 0), whole = *ReadFile(path);
  const auto error = [&](const std::string& bytes) {
    EXPECT_TRUE(WriteFileAtomically(path, bytes).ok());
    return std::string(ReadFlightFile(path).status().message());
  };
  EXPECT_THAT(error(""), HasSubstr("not a flight record: it has 0 bytes"));
  EXPECT_THAT(error("X" + whole.substr(1)), HasSubstr("does not begin with INGTFLT1"));
  EXPECT_THAT(error(whole.substr(0, whole.size() - 1)), HasSubstr("cut off"));
  std::string other = whole;
  other[8] = 2;
  EXPECT_THAT(error(other), HasSubstr("expected version 1 with entries of 64 bytes, found 2"));
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {  // anything in the first bytes: never a crash
    other = whole;
    for (int k = 0; k < 4; ++k) other[random() % 5000] = static_cast<char>(random());
    error(other);
  }
}

TEST(FlightRecord, ADirectoryThatCannotBeWrittenIsAnError) {
  const auto record = FlightRecord::Create("/proc/nowhere", 0, 1);
  EXPECT_THAT(std::string(record.status().message()), HasSubstr("/proc/nowhere"));
}

TEST(ReadFlightRecords, TakesTheRanksOfTheLastStart) {
  const TemporaryDirectory run;
  std::vector<std::string> notes;
  EXPECT_THAT(std::string(ReadFlightRecords(run.path(), notes).status().message()), HasSubstr("--output"));
  const auto old = FlightRecord::Create(run.path(), 2, 3);
  (*old)->SetAttempt(1);
  std::vector<std::unique_ptr<FlightRecord>> records;
  for (const int64_t rank : {0, 1}) {
    records.push_back(*FlightRecord::Create(run.path(), rank, 2));
    records.back()->SetAttempt(2);
  }
  ASSERT_TRUE(WriteFileAtomically(run / "flight/rank-00007.bin", "garbage").ok());
  const auto all = ReadFlightRecords(run.path(), notes);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[1].file.rank, 1);
  EXPECT_EQ((*all)[1].process, ProcessState::kRunning);
  EXPECT_THAT(notes, testing::UnorderedElementsAre(HasSubstr("rank-00007.bin"), HasSubstr("rank 2 is of an earlier")));
}

TEST(ReadFlightRecords, KnowsStoppedAndGoneProcesses) {
  const TemporaryDirectory run;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto record = FlightRecord::Create(run.path(), 0, 1);
    raise(SIGSTOP);
    pause();
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  std::vector<std::string> notes;
  EXPECT_EQ((*ReadFlightRecords(run.path(), notes))[0].process, ProcessState::kStopped);
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ((*ReadFlightRecords(run.path(), notes))[0].process, ProcessState::kGone);
}

}  // namespace
}  // namespace ingot
