#include "core/base/file.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "core/base/crc32c.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ingot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class FileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = JoinPath(testing::TempDir(), "ingot_file_XXXXXX");
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(directory_).ok()); }
  std::string Path(const std::string& name) const { return JoinPath(directory_, name); }
  std::string directory_;
};

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST_F(FileTest, WhatIsWrittenIsRead) {
  const std::string contents = std::string("line\n\0binary\xFF", 13);
  ASSERT_TRUE(WriteFileAtomically(Path("a"), contents).ok());
  EXPECT_EQ(*ReadFile(Path("a")), contents);
  EXPECT_EQ(*FileSize(Path("a")), contents.size());
  EXPECT_EQ(MappedFile::Open(Path("a"))->text(), contents);
}

TEST_F(FileTest, AtomicWriteReplacesWholeAndLeavesNothingElse) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "old and longer").ok());
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "new").ok());
  EXPECT_EQ(*ReadFile(Path("a")), "new");
  EXPECT_THAT(*ListDirectory(directory_), ElementsAre("a"));
}

TEST_F(FileTest, FailedAtomicWriteLeavesTheOldAndNothingElse) {
  ASSERT_TRUE(CreateDirectories(Path("taken/inside")).ok());  // rename onto a full directory fails
  EXPECT_FALSE(WriteFileAtomically(Path("taken"), "x").ok());
  EXPECT_THAT(*ListDirectory(directory_), ElementsAre("taken"));
  EXPECT_TRUE(DirectoryExists(Path("taken/inside")));
}

TEST_F(FileTest, ErrorsNameTheFileAndTheReason) {
  for (const absl::Status& status :
       {ReadFile(Path("none")).status(), MappedFile::Open(Path("none")).status(), FileSize(Path("none")).status(),
        ListDirectory(Path("none")).status(), SyncDirectory(Path("none"))}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
    EXPECT_THAT(Message(status), HasSubstr(Path("none")));
  }
  const absl::Status nowhere = FileWriter::Create(Path("none/a")).status();
  EXPECT_EQ(nowhere.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Message(nowhere), HasSubstr("none/a"));
  EXPECT_EQ(WriteFileAtomically(Path("none/a"), "x").code(), absl::StatusCode::kNotFound);
}

TEST_F(FileTest, DirectoriesAndDevicesAreNotRead) {
  for (const std::string& path : {directory_, std::string("/dev/zero")}) {
    EXPECT_THAT(Message(ReadFile(path).status()), HasSubstr("regular file"));
    EXPECT_THAT(Message(MappedFile::Open(path).status()), HasSubstr("regular file"));
  }
}

TEST_F(FileTest, TooLargeAFileIsRefused) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "12345").ok());
  EXPECT_TRUE(ReadFile(Path("a"), 5).ok());
  EXPECT_THAT(Message(ReadFile(Path("a"), 4).status()), HasSubstr("at most 4"));
}

TEST_F(FileTest, EmptyFile) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "").ok());
  EXPECT_EQ(*ReadFile(Path("a")), "");
  EXPECT_TRUE(MappedFile::Open(Path("a"))->bytes().empty());
}

TEST_F(FileTest, AMappingOutlivesItsNameAndMoves) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "mapped").ok());
  absl::StatusOr<MappedFile> opened = MappedFile::Open(Path("a"));
  ASSERT_TRUE(opened.ok());
  MappedFile first = *std::move(opened);
  ASSERT_EQ(unlink(Path("a").c_str()), 0);
  const MappedFile second = std::move(first);
  EXPECT_EQ(second.text(), "mapped");
}

TEST_F(FileTest, TheStartOfAFileIsOverwritten) {
  absl::StatusOr<FileWriter> writer = FileWriter::Create(Path("a"));
  ASSERT_TRUE(writer.ok() && writer->Append("0000body").ok() && writer->OverwriteStart("head").ok());
  ASSERT_TRUE(writer->Append(" and more").ok() && writer->Close().ok());
  EXPECT_EQ(ReadFile(Path("a")).value(), "headbody and more");
}

// Pieces smaller and larger than the writer's buffer.
TEST_F(FileTest, WriterCountsAndChecksums) {
  absl::StatusOr<FileWriter> writer = FileWriter::Create(Path("a"));
  ASSERT_TRUE(writer.ok());
  std::string all;
  for (const size_t size : {size_t{3}, size_t{1} << 20, size_t{0}, (size_t{5} << 19) + 1, size_t{700000}, size_t{9}}) {
    const std::string piece(size, static_cast<char>('a' + all.size() % 26));
    ASSERT_TRUE(writer->Append(piece).ok());
    all += piece;
  }
  EXPECT_EQ(writer->bytes_written(), all.size());
  EXPECT_EQ(writer->crc32c(), Crc32c(all.data(), all.size()));
  ASSERT_TRUE(writer->Close().ok());
  EXPECT_EQ(*ReadFile(Path("a")), all);
}

TEST_F(FileTest, AFullDiskIsAnError) {
  absl::StatusOr<FileWriter> writer = FileWriter::Create("/dev/full");
  if (!writer.ok()) GTEST_SKIP() << "no /dev/full here";
  absl::Status status = writer->Append(std::string(100, 'x'));
  if (status.ok()) status = writer->Close();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(Message(status), HasSubstr("/dev/full"));
}

TEST_F(FileTest, RenameWithoutReplacing) {
  ASSERT_TRUE(WriteFileAtomically(Path("a"), "a").ok());
  ASSERT_TRUE(WriteFileAtomically(Path("b"), "b").ok());
  EXPECT_EQ(RenameWithoutReplacing(Path("a"), Path("b")).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(*ReadFile(Path("b")), "b");
  EXPECT_TRUE(RenameWithoutReplacing(Path("a"), Path("c")).ok());
  EXPECT_FALSE(FileExists(Path("a")));
  EXPECT_FALSE(RenameWithoutReplacing(Path("a"), Path("d")).ok());
}

TEST_F(FileTest, DirectoriesListSortedAndPathsJoin) {
  for (const char* name : {"b", "B", "a"}) ASSERT_TRUE(WriteFileAtomically(Path(name), "").ok());
  EXPECT_THAT(*ListDirectory(directory_), ElementsAre("B", "a", "b"));
  EXPECT_FALSE(FileExists(directory_));
  EXPECT_FALSE(DirectoryExists(Path("a")));
  EXPECT_GT(*FreeBytes(directory_), 0u);
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(BaseName("a/b/c.txt"), "c.txt");
}

}  // namespace
}  // namespace ingot
