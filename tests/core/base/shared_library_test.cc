#include "core/base/shared_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

namespace ingot {
namespace {

using ::testing::HasSubstr;

// zlib: every build of this project has it.
constexpr char kZlib[] = "libz.so.1";
constexpr char kWish[] = "INGOT_TEST_LIBRARY";

class SharedLibraryTest : public ::testing::Test {
 protected:
  ~SharedLibraryTest() override { unsetenv(kWish); }
};

TEST_F(SharedLibraryTest, FindsItsFunctions) {
  const auto library = SharedLibrary::Open(kZlib, kWish, {});
  ASSERT_TRUE(library.ok()) << library.status();
  EXPECT_THAT(library->path(), HasSubstr("/libz.so"));
  const char* (*version)() = nullptr;
  ASSERT_TRUE(library->Resolve("zlibVersion", version).ok());
  EXPECT_STRNE(version(), "");
  library->Find("noSuchFunction", version);
  EXPECT_EQ(version, nullptr);
  EXPECT_THAT(std::string(library->Resolve("noSuchFunction", version).message()),
              AllOf(HasSubstr("/libz.so"), HasSubstr("has no noSuchFunction")));
}

TEST_F(SharedLibraryTest, SaysWhereItLooked) {
  const auto library = SharedLibrary::Open("libingot_none.so.7", kWish, {"/no/such/folder"});
  const std::string message(library.status().message());
  EXPECT_THAT(message, AllOf(HasSubstr("no libingot_none.so.7"), HasSubstr("/lib/libingot_none.so.7"),
                             HasSubstr("/no/such/folder/libingot_none.so.7"), HasSubstr("INGOT_TEST_LIBRARY=FILE")));
}

TEST_F(SharedLibraryTest, TakesTheFileThatIsWishedForAndNoOther) {
  setenv(kWish, "/no/such/file.so", 1);
  const auto library = SharedLibrary::Open(kZlib, kWish, {});
  EXPECT_THAT(std::string(library.status().message()), HasSubstr("/no/such/file.so"));
}

}  // namespace
}  // namespace ingot
