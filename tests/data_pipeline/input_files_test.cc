#include "data_pipeline/input_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/data_pipeline/test_files.h"

namespace ingot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Find(const std::vector<std::string>& names) {
  const auto found = FindDocuments(names);
  EXPECT_TRUE(found.ok()) << found.status();
  return found.ok() ? found->files : std::vector<std::string>{};
}

std::string Refusal(const std::vector<std::string>& names) {
  return std::string(FindDocuments(names).status().message());
}

class InputFilesTest : public ::testing::Test {
 protected:
  InputFilesTest() {
    for (const char* name : {"b.jsonl", "a.txt", "B.jsonl", "sub/c.jsonl.gz", "sub/.hidden.txt", "notes.md"}) {
      dir_.Write(name, "x");
    }
  }
  const TestDirectory dir_;
};

TEST_F(InputFilesTest, PatternsMatchInTheOrderOfBytes) {
  EXPECT_THAT(Find({dir_ / "*.jsonl"}), ElementsAre(dir_ / "B.jsonl", dir_ / "b.jsonl"));
  EXPECT_THAT(Find({dir_ / "?.txt", dir_ / "[b]*"}), ElementsAre(dir_ / "a.txt", dir_ / "b.jsonl"));
  const auto all = FindDocuments({dir_ / "*"});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_THAT(all->files, ElementsAre(dir_ / "B.jsonl", dir_ / "a.txt", dir_ / "b.jsonl", dir_ / "sub/c.jsonl.gz"));
  EXPECT_EQ(all->ignored_files, 1);  // notes.md
  EXPECT_EQ(all->bytes, 4u);
}

TEST_F(InputFilesTest, AFileMayHaveTheNameOfAPattern) {
  dir_.Write("[b].txt", "x");
  EXPECT_THAT(Find({dir_ / "[b].txt"}), ElementsAre(dir_ / "[b].txt"));
}

TEST_F(InputFilesTest, ListsNameFilesPatternsAndDirectoriesInTheirOrder) {
  dir_.Write("list", "# sources\n" + (dir_ / "sub") + "\r\n\n" + (dir_ / "*.txt") + "\n" + (dir_ / "b.jsonl"));
  EXPECT_THAT(Find({"@" + (dir_ / "list")}), ElementsAre(dir_ / "sub/c.jsonl.gz", dir_ / "a.txt", dir_ / "b.jsonl"));
  EXPECT_THAT(Find({dir_ / "B.jsonl", "@" + (dir_ / "list")}).size(), 4u);
}

TEST_F(InputFilesTest, NamesWhatIsWrong) {
  EXPECT_THAT(Refusal({dir_ / "*.parquet"}), HasSubstr("no file or directory matches"));
  EXPECT_THAT(Refusal({dir_ / "*.md"}), HasSubstr("matches no documents"));
  EXPECT_THAT(Refusal({dir_ / "notes.md"}), HasSubstr("cannot tell the format"));
  EXPECT_THAT(Refusal({dir_ / "none"}), HasSubstr("no such file"));
  EXPECT_THAT(Refusal({"@" + (dir_ / "none")}), HasSubstr("none"));
  EXPECT_THAT(Refusal({"@" + dir_.Write("empty", "# nothing\n\n")}), HasSubstr("names no input"));
  EXPECT_THAT(Refusal({"@" + dir_.Write("bad", dir_ / "notes.md")}), HasSubstr("cannot tell the format"));
  EXPECT_THAT(Refusal({}), HasSubstr("no input"));
}

}  // namespace
}  // namespace ingot
