#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data_pipeline/foreign/inspect.h"
#include "data_pipeline/verify.h"
#include "tests/data_pipeline/test_files.h"

namespace ingot {
namespace {

// nanoGPT's bytes of the documents [5, 6, 7] and [8].
std::string NanoGpt() { return std::string("\5\0\6\0\7\0\x50\xC4\x8\0\x50\xC4", 12); }

TEST(ForeignInspect, CountsDocumentsWithoutTheirSeparators) {
  const TestDirectory dir;
  const auto corpus = ForeignCorpus::Open(dir.Write("a.bin", NanoGpt()), ForeignFormat::kNanoGpt);
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  const auto report = InspectForeign(*corpus, 3, 2);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->contents.tokens, 6);
  EXPECT_EQ(report->contents.documents, 2);
  EXPECT_EQ(report->contents.lengths.longest, 3);
  EXPECT_EQ(report->contents.samples, (std::vector<std::vector<int32_t>>{{5, 6}, {8}}));
  EXPECT_EQ(report->largest_id, 8);
}

TEST(ForeignInspect, VerifyReadsForeignFiles) {
  const TestDirectory dir;
  const std::string raw = dir.Write("a.bin", NanoGpt());
  const auto report = VerifyData(raw, 0, ForeignFormat::kNanoGpt);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->documents, 2);
  EXPECT_EQ(report->bytes, 12);
  EXPECT_FALSE(VerifyData(raw).ok());  // nothing in the bytes says what they are
  std::string llmc("\x88\xD8\x34\x01\1\0\0\0\2\0\0\0", 12);
  llmc.resize(1024);
  const auto found = VerifyData(dir.Write("b.bin", llmc + std::string("\x50\xC4\7\0", 4)));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->documents, 1);
  EXPECT_THAT(std::string(VerifyData(dir.Write("c.bin", llmc)).status().message()), ::testing::HasSubstr("truncated"));
}

}  // namespace
}  // namespace ingot
