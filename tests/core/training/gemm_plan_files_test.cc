#include "core/training/gemm_plan_files.h"

#include <cstdlib>

#include "core/base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ingot {
namespace {

using cuda::GemmMachine;
using cuda::GemmPlan;
using cuda::GemmPlanStore;
using testing::HasSubstr;

const GemmMachine kH100 = {.device = "NVIDIA H100 80GB HBM3, 132 multiprocessors", .library = "cuBLASLt 13.1.0"};
const GemmMachine kNewer = {.device = kH100.device, .library = "cuBLASLt 13.2.0"};
const GemmPlan kPlan = {.algorithm = {7}, .microseconds = 3}, kOther = {.algorithm = {8}, .microseconds = 2};

class GemmPlanFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = JoinPath(testing::TempDir(),
                     std::string("gemm_plans_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    ASSERT_TRUE(RemoveRecursively(root_).ok());
    ASSERT_TRUE(CreateDirectories(Run("a")).ok());
    ASSERT_TRUE(CreateDirectories(Run("b")).ok());
  }
  std::string Run(const std::string& name) const { return JoinPath(root_, name); }
  std::string Cache() const { return JoinPath(root_, "cache"); }
  std::string TableOf(const std::string& run) const { return JoinPath(Run(run), "gemm_plans.txt"); }

  // A process that computes `products` in a run and saves.
  void Train(const std::string& run, const GemmMachine& machine, const std::map<std::string, GemmPlan>& products) {
    GemmPlanStore store;
    store.SetMachine(machine);
    GemmPlanFiles files(Run(run), Cache(), store);
    (void)files.Take();
    for (const auto& [key, plan] : products) {
      if (!store.Find(key).has_value()) store.Add(key, plan);
    }
    ASSERT_TRUE(files.Save().ok());
  }

  std::string root_;
};

TEST_F(GemmPlanFilesTest, AResumeKeepsItsPlansWhateverTheCacheSays) {
  Train("a", kH100, {{"x", kPlan}});
  ASSERT_TRUE(RemoveRecursively(Cache()).ok());
  Train("b", kH100, {{"x", kOther}});  // another choice, now in the cache
  GemmPlanStore store;
  store.SetMachine(kH100);
  EXPECT_EQ(GemmPlanFiles(Run("a"), Cache(), store).Take(), "");
  EXPECT_EQ(store.Find("x"), kPlan);
}

TEST_F(GemmPlanFilesTest, ANewRunTakesThePlansOfOthersFromTheCache) {
  Train("a", kH100, {{"x", kPlan}});
  Train("b", kH100, {{"x", kOther}, {"y", kOther}});
  const auto table = cuda::GemmPlanTable::Parse(*ReadFile(TableOf("b")), "b");
  ASSERT_TRUE(table.ok());
  EXPECT_EQ(table->plans, (std::map<std::string, GemmPlan>{{"x", kPlan}, {"y", kOther}}));
  Train("a", kH100, {{"z", kPlan}});  // adds to the cache and loses nothing of it
  GemmPlanStore store;
  store.SetMachine(kH100);
  ASSERT_TRUE(CreateDirectories(Run("c")).ok());
  EXPECT_EQ(GemmPlanFiles(Run("c"), Cache(), store).Take(), "");
  EXPECT_EQ(store.Table().plans.size(), 3u);
}

TEST_F(GemmPlanFilesTest, SaysThatPlansOfAnotherLibraryCannotBeKept) {
  Train("a", kH100, {{"x", kPlan}});
  GemmPlanStore newer;
  newer.SetMachine(kNewer);
  EXPECT_THAT(
      GemmPlanFiles(Run("a"), Cache(), newer).Take(),
      testing::AllOf(HasSubstr("cuBLASLt 13.1.0"), HasSubstr("cuBLASLt 13.2.0"), HasSubstr("bits will differ")));
  EXPECT_TRUE(newer.Table().plans.empty());
  GemmPlanStore without;  // the emulator, the CPU, our own kernel
  EXPECT_THAT(GemmPlanFiles(Run("a"), Cache(), without).Take(), HasSubstr("without plans now"));
}

TEST_F(GemmPlanFilesTest, SaysThatADamagedTableCannotBeKept) {
  Train("a", kH100, {{"x", kPlan}});
  ASSERT_TRUE(WriteFileAtomically(TableOf("a"), ReadFile(TableOf("a"))->substr(3)).ok());
  GemmPlanStore store;
  store.SetMachine(kH100);
  EXPECT_THAT(GemmPlanFiles(Run("a"), Cache(), store).Take(),
              testing::AllOf(HasSubstr(TableOf("a")), HasSubstr("damaged"), HasSubstr("bits will differ")));
}

TEST_F(GemmPlanFilesTest, WritesOnlyWhatIsNew) {
  Train("a", kH100, {{"x", kPlan}});
  ASSERT_TRUE(RemoveRecursively(TableOf("a")).ok());
  GemmPlanStore store;
  store.SetMachine(kH100);
  GemmPlanFiles files(Run("a"), Cache(), store);
  EXPECT_EQ(files.Take(), "");  // from the cache
  ASSERT_TRUE(files.Save().ok());
  ASSERT_TRUE(FileExists(TableOf("a")));
  ASSERT_TRUE(RemoveRecursively(TableOf("a")).ok());
  ASSERT_TRUE(files.Save().ok());
  EXPECT_FALSE(FileExists(TableOf("a")));
  store.Add("y", kPlan);
  ASSERT_TRUE(files.Save().ok());
  EXPECT_TRUE(FileExists(TableOf("a")));
}

TEST_F(GemmPlanFilesTest, WorksWithoutAPlaceForTheCacheAndWithoutPlans) {
  ASSERT_TRUE(WriteFileAtomically(Cache(), "a file where the folder would be").ok());
  Train("a", kH100, {{"x", kPlan}});
  EXPECT_TRUE(FileExists(TableOf("a")));
  GemmPlanStore none;
  GemmPlanFiles files(Run("b"), "", none);
  EXPECT_EQ(files.Take(), "");
  EXPECT_TRUE(files.Save().ok());
  EXPECT_FALSE(FileExists(TableOf("b")));
}

TEST_F(GemmPlanFilesTest, CacheFollowsTheEnvironment) {
  const char* const before = std::getenv("XDG_CACHE_HOME");
  const std::string kept = before == nullptr ? "" : before;
  setenv("XDG_CACHE_HOME", "/somewhere", 1);
  EXPECT_EQ(DefaultCacheDirectory(), "/somewhere/ingot");
  unsetenv("XDG_CACHE_HOME");
  const char* const home = std::getenv("HOME");
  EXPECT_EQ(DefaultCacheDirectory(),
            home == nullptr || *home == 0 ? std::string() : std::string(home) + "/.cache/ingot");
  if (before != nullptr) setenv("XDG_CACHE_HOME", kept.c_str(), 1);
}

}  // namespace
}  // namespace ingot
