// The table of environments that launchers make, measured under Slurm 22.05, Open MPI 4.1, MPICH 4.0 and torchrun.
#include "distributed/launch.h"

#include <gtest/gtest.h>

#include "distributed/exit_codes.h"

namespace ingot {
namespace {

struct Case {
  int number;
  Environment environment;
  std::string outcome;  // "SOURCE RANK/SIZE", or "refused: WORDS"
  LaunchOptions options = {};
};

Environment Join(std::initializer_list<Environment> parts) {
  Environment all;
  for (const Environment& part : parts) all.insert(part.begin(), part.end());
  return all;
}

const Environment kMaster = {{"MASTER_ADDR", "n1"}, {"MASTER_PORT", "29500"}};
const Environment kElastic = {{"TORCHELASTIC_RUN_ID", "x"}};

Environment T(const std::string& rank, const std::string& size, const std::string& local) {
  return {{"RANK", rank}, {"WORLD_SIZE", size}, {"LOCAL_RANK", local}};
}
Environment O(const std::string& rank, const std::string& size, const std::string& local) {
  return {{"OMPI_COMM_WORLD_RANK", rank}, {"OMPI_COMM_WORLD_SIZE", size}, {"OMPI_COMM_WORLD_LOCAL_RANK", local}};
}
Environment P(const std::string& rank, const std::string& size) { return {{"PMI_RANK", rank}, {"PMI_SIZE", size}}; }
Environment S(const std::string& rank, const std::string& size) {
  return {{"SLURM_JOB_ID", "3"},          {"SLURM_STEP_ID", "0"},
          {"SLURM_PROCID", rank},         {"SLURM_LOCALID", "0"},
          {"SLURM_STEP_NUM_TASKS", size}, {"SLURM_NODEID", "0"},
          {"SLURM_NTASKS", size},         {"SLURM_STEP_TASKS_PER_NODE", "1(x2)"}};
}
Environment B(const std::string& tasks, const std::string& nodes) {
  Environment body = {{"SLURM_JOB_ID", "3"}, {"SLURM_PROCID", "0"}, {"SLURM_LOCALID", "0"}, {"SLURM_NODEID", "0"}};
  if (!tasks.empty()) body["SLURM_NTASKS"] = tasks;
  if (!nodes.empty()) body["SLURM_NNODES"] = nodes;
  return body;
}
Environment Without(Environment environment, const char* name) {
  environment.erase(name);
  return environment;
}
Environment With(Environment environment, const char* name, const std::string& value) {
  environment[name] = value;
  return environment;
}

std::vector<Case> Cases() {
  const Environment full = Join({T("1", "4", "1"), kMaster, kElastic});
  return {
      {1, {}, "plain 0/1"},
      {2, full, "torchrun 1/4"},
      {3, {{"RANK", "1"}, {"WORLD_SIZE", "4"}}, "refused: LOCAL_RANK is not set"},
      {4, {{"WORLD_SIZE", "4"}}, "refused: RANK is not set"},
      {5, {{"RANK", "0"}}, "refused: WORLD_SIZE is not set"},
      {6, kMaster, "plain 0/1"},
      {7, Join({T("4", "4", "0"), kMaster}), "refused: RANK: expected a whole number from 0 to 3"},
      {8, Join({T("-1", "4", "0"), kMaster}), "refused: RANK: expected a whole number"},
      {8, Join({T("1x", "4", "0"), kMaster}), "refused: RANK: expected a whole number"},
      {8, Join({T("", "4", "0"), kMaster}), "refused: RANK: expected a whole number"},
      {9, Join({T("0", "99999999999", "0"), kMaster}), "refused: WORLD_SIZE: expected a whole number"},
      {10, Join({T("0", "0", "0"), kMaster}), "refused: WORLD_SIZE: expected a whole number from 1"},
      {11, With(full, "MASTER_PORT", "70000"), "refused: MASTER_PORT"},
      {12, With(full, "TORCHELASTIC_USE_AGENT_STORE", "True"), "torchrun 1/4"},
      {13, O("1", "4", "1"), "Open MPI 1/4"},
      {14, {{"OMPI_COMM_WORLD_RANK", "1"}}, "refused: OMPI_COMM_WORLD_SIZE is not set"},
      {15, With(O("1", "4", "1"), "PMIX_RANK", "1"), "Open MPI 1/4"},
      {16, With(O("1", "4", "1"), "PMIX_RANK", "2"), "refused: OMPI_COMM_WORLD_RANK is 1 but PMIX_RANK is 2"},
      {17, Join({O("3", "4", "1"), S("1", "2")}), "Open MPI 3/4"},
      {18, Join({O("0", "1", "0"), B("1", "1")}), "Open MPI 0/1"},
      {19, With(P("1", "4"), "MPI_LOCALRANKID", "1"), "PMI 1/4"},
      {20, P("1", "4"), "PMI 1/4"},
      {21, {{"PMIX_RANK", "1"}}, "refused: PMIX_RANK is set but no size"},
      {22, P("0", "1"), "refused: --world-size is 4", {.world_size = 4}},
      {23, With(Join({S("1", "4"), P("1", "4")}), "PMI_JOBID", "3.0"), "Slurm step 1/4"},
      {24, With(Join({S("1", "4"), P("2", "4")}), "PMI_JOBID", "3.0"), "refused: SLURM_PROCID says rank 1"},
      {25, Join({S("0", "2"), P("1", "4")}), "PMI 1/4"},
      {26, Join({S("1", "4"), kMaster}), "Slurm step 1/4"},
      {27, With(S("3", "4"), "WORLD_SIZE", "4"), "Slurm step 3/4"},
      {28, With(S("3", "4"), "WORLD_SIZE", "8"), "refused: WORLD_SIZE is 8 but Slurm step says 4"},
      {29, Join({S("1", "4"), T("0", "4", "0"), kMaster}), "refused: RANK and WORLD_SIZE say rank 0 of 4"},
      {30, Join({S("1", "4"), T("1", "4", "1"), kMaster}), "torchrun 1/4"},
      {31, Join({S("1", "2"), T("5", "8", "1"), kMaster, kElastic}), "torchrun 5/8"},
      {32, B("2", ""), "refused: this Slurm job has 2 tasks"},
      {33, B("1", "1"), "plain 0/1"},
      {33, B("", "1"), "plain 0/1"},
      {34, B("", "2"), "refused: this Slurm job has 2 tasks or nodes"},
      {35, B("2", ""), "plain 0/1", {.single = true}},
      {36, With(B("2", ""), "SLURM_STEP_ID", "4294967290"), "refused: this Slurm job has 2"},
      {37, With(B("2", ""), "SLURM_STEP_ID", "4294967291"), "refused: this Slurm job has 2"},
      {38, {{"SLURM_JOB_ID", "3"}, {"SLURM_NTASKS", "2"}}, "refused: this Slurm job has 2"},
      {39, S("0", "1"), "Slurm step 0/1"},
      {40, Without(With(S("1", "4"), "SLURM_NTASKS", "4"), "SLURM_STEP_NUM_TASKS"),
       "refused: SLURM_STEP_NUM_TASKS is not set"},
      {41, {{"INGOT_RANK", "1"}, {"INGOT_WORLD_SIZE", "2"}}, "INGOT_* 1/2"},
      {42, {{"INGOT_RANK", "1"}}, "refused: INGOT_WORLD_SIZE is not set"},
      {43, Join({S("0", "2"), {{"INGOT_RANK", "3"}, {"INGOT_WORLD_SIZE", "4"}}}), "INGOT_* 3/4"},
      {44, With(S("1", "4"), "SLURM_HET_SIZE", "2"), "refused: SLURM_HET_SIZE"},
  };
}

TEST(Launch, TableOfEnvironments) {
  int distinct = 0, last = 0;
  for (const Case& c : Cases()) {
    SCOPED_TRACE(c.number);
    distinct += c.number != std::exchange(last, c.number);
    const auto launch = DetectLaunch(c.environment, c.options);
    if (c.outcome.rfind("refused: ", 0) == 0) {
      ASSERT_FALSE(launch.ok()) << launch->ToString();
      EXPECT_NE(std::string(launch.status().message()).find(c.outcome.substr(9)), std::string::npos) << launch.status();
      EXPECT_EQ(ExitCodeOf(launch.status()), 2);
      continue;
    }
    ASSERT_TRUE(launch.ok()) << launch.status();
    EXPECT_EQ(
        std::string(Name(launch->source)) + " " + std::to_string(launch->rank) + "/" + std::to_string(launch->size),
        c.outcome);
  }
  EXPECT_EQ(distinct, 44);
}

TEST(Launch, WhatElseIsTold) {
  const auto torchrun = DetectLaunch(Join({T("1", "4", "1"), kMaster, kElastic}), {});
  EXPECT_EQ(torchrun->coordinator, "n1:29500");
  EXPECT_EQ(torchrun->local_rank, 1);
  const auto served =
      DetectLaunch(With(Join({T("1", "4", "1"), kMaster, kElastic}), "TORCHELASTIC_USE_AGENT_STORE", "True"), {});
  EXPECT_EQ(served->coordinator, "");
  const auto step = DetectLaunch(Join({S("1", "4"), kMaster}), {});
  EXPECT_EQ(step->coordinator, "n1:29500");
  EXPECT_EQ(step->local_size, 1);
  EXPECT_EQ(step->run_id, "3.0/");
  EXPECT_EQ(DetectLaunch(kMaster, {})->notes.size(), 1u);
  EXPECT_EQ(DetectLaunch(B("2", ""), {.single = true})->notes.size(), 1u);
  EXPECT_EQ(DetectLaunch(With(S("3", "4"), "WORLD_SIZE", "4"), {})->notes.size(), 1u);
}

TEST(Launch, SlurmTasksOfNode) {
  EXPECT_EQ(SlurmTasksOfNode("1(x2)", 1), 1);
  EXPECT_EQ(SlurmTasksOfNode("2,1(x3)", 0), 2);
  EXPECT_EQ(SlurmTasksOfNode("2,1(x3)", 3), 1);
  EXPECT_EQ(SlurmTasksOfNode("2,1(x3)", 4), -1);
  for (const char* bad : {"", "x", "2(x", "2(x)", "2(x3", "0", "2(x99999999999)"})
    EXPECT_EQ(SlurmTasksOfNode(bad, 0), -1);
}

}  // namespace
}  // namespace ingot
