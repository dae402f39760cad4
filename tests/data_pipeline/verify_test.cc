#include "data_pipeline/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "data_pipeline/inspect.h"
#include "data_pipeline/shard.h"
#include "tests/data_pipeline/test_dataset.h"

namespace ingot {
namespace {

using ::testing::HasSubstr;

std::string VerifyMessage(const std::string& path) { return std::string(VerifyData(path).status().message()); }

TEST(Shard, RoundTripInBothWidths) {
  const TestDirectory dir;
  for (const int64_t vocabulary : {300, 65536, 65537, 152064}) {
    const std::string path = dir / "a.shard";
    auto writer = ShardWriter::Create(path, vocabulary, 1);
    ASSERT_TRUE(writer.ok()) << writer.status();
    const auto largest = static_cast<int32_t>(vocabulary - 1);
    ASSERT_TRUE(writer->Append(std::vector<int32_t>{5, 0, largest, 1}).ok());
    writer->EndDocument();
    ASSERT_TRUE(writer->Append(std::vector<int32_t>{7, 8, 1}).ok());
    writer->EndDocument();
    ASSERT_TRUE(writer->Close().ok());
    const auto shard = Shard::Open(path);
    ASSERT_TRUE(shard.ok()) << shard.status();
    EXPECT_TRUE(shard->Verify().ok()) << shard->Verify();
    EXPECT_EQ(shard->info().token_bytes, vocabulary <= 65536 ? 2 : 4);
    EXPECT_EQ(shard->info().vocabulary, vocabulary);
    std::vector<int32_t> ids(7);
    shard->Copy(0, 7, ids.data());
    EXPECT_EQ(ids, (std::vector<int32_t>{5, 0, largest, 1, 7, 8, 1}));
    EXPECT_EQ(std::vector<uint64_t>(shard->ends().begin(), shard->ends().end()), (std::vector<uint64_t>{4, 7}));
  }
}

TEST(ShardDeathTest, IdsOutsideTheVocabularyAreRefused) {
  const TestDirectory dir;
  auto writer = ShardWriter::Create(dir / "a.shard", 300, 1);
  EXPECT_DEATH(writer->Append(std::vector<int32_t>{300}).IgnoreError(), "token id 300 outside the vocabulary of 300");
}

// The right checksums over wrong contents.
TEST(Shard, VerifyReadsTheContents) {
  const TestDirectory dir;
  const auto write = [&](const std::vector<int32_t>& ids, int end_after) {
    auto writer = ShardWriter::Create(dir / "a.shard", 300, 1);
    const std::span all(ids);
    EXPECT_TRUE(writer->Append(all.first(static_cast<size_t>(end_after))).ok());
    writer->EndDocument();
    EXPECT_TRUE(writer->Append(all.subspan(static_cast<size_t>(end_after))).ok());
    EXPECT_TRUE(writer->Close().ok());
    return VerifyMessage(dir / "a.shard");
  };
  EXPECT_EQ(write({4, 5, 1}, 3), "");
  EXPECT_THAT(write({4, 1, 5}, 3), HasSubstr("ends with id 5"));
  EXPECT_THAT(write({4, 1, 5, 1}, 2), HasSubstr("occurs 2 times for 1 documents"));
  EXPECT_THAT(write({1, 4, 5}, 0), HasSubstr("a document ends at token 0"));
}

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() {
    const std::string input = dir_.Write("in.jsonl", AsJsonl(SomeDocuments(20)));
    BuildOptions options = {.inputs = {input}, .output = out_, .validation_fraction = 0.2, .shard_tokens = 150};
    MustBuild(options, ByteEncoder(dir_));
  }
  TestDirectory dir_;
  std::string out_ = dir_ / "out";
};

TEST_F(VerifyTest, AcceptsWhatWasBuilt) {
  const auto report = VerifyData(out_);
  ASSERT_TRUE(report.ok()) << report.status();
  const auto dataset = Dataset::Open(out_);
  EXPECT_EQ(report->documents, dataset->documents(Split::kTraining) + dataset->documents(Split::kValidation));
  EXPECT_EQ(report->tokens, dataset->tokens(Split::kTraining) + dataset->tokens(Split::kValidation));
  EXPECT_EQ(VerifyMessage(out_ + "/training-00001.shard"), "");
}

// Whatever byte of whatever file: the dataset is refused, and the message names a file of it.
TEST_F(VerifyTest, FindsEveryFlippedByte) {
  int flipped_bytes = 0;
  for (const char* name : {"training-00001.shard", "dataset.json", "dataset.json.crc32c", "tokenizer/tokenizer.json"}) {
    const std::string path = out_ + "/" + name, bytes = ReadAll(path);
    for (size_t at = 0; at < bytes.size(); ++at, ++flipped_bytes) {
      std::string flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
      dir_.Write(std::string("out/") + name, flipped);
      ASSERT_THAT(VerifyMessage(out_), HasSubstr(out_ + "/")) << name << " byte " << at;
    }
    dir_.Write(std::string("out/") + name, bytes);
  }
  EXPECT_EQ(VerifyMessage(out_), "");
  EXPECT_GT(flipped_bytes, 1500);
}

TEST_F(VerifyTest, AShardAloneFindsEveryFlippedByteAndTruncation) {
  const std::string name = "out/training-00000.shard", path = dir_ / name, bytes = ReadAll(path);
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
    dir_.Write(name, flipped);
    ASSERT_THAT(VerifyMessage(path), HasSubstr(path)) << at;
    EXPECT_FALSE(Dataset::Open(out_).ok());
    dir_.Write(name, bytes.substr(0, at));
    ASSERT_THAT(VerifyMessage(path), HasSubstr(path)) << at;
    EXPECT_FALSE(Dataset::Open(out_).ok());
  }
}

TEST_F(VerifyTest, MissingThings) {
  EXPECT_THAT(VerifyMessage(dir_ / "none"), HasSubstr("no such file"));
  EXPECT_THAT(VerifyMessage(dir_ / "bytes"), HasSubstr("not a dataset"));
  EXPECT_THAT(VerifyMessage(dir_ / "in.jsonl"), HasSubstr("INGOTSHD"));
  std::filesystem::remove(out_ + "/validation-00000.shard");
  EXPECT_THAT(VerifyMessage(out_), HasSubstr("validation-00000.shard"));
}

TEST_F(VerifyTest, InspectCountsLengthsAndShowsDocuments) {
  const auto dataset = Dataset::Open(out_);
  const SplitReport report = InspectStream(dataset->state().stream(Split::kTraining), 2, 5);
  const auto texts = TextsOf(*dataset, Split::kTraining);
  EXPECT_EQ(report.documents, static_cast<int64_t>(texts.size()));
  int64_t longest = 0, counted = 0;
  for (const std::string& text : texts) longest = std::max(longest, static_cast<int64_t>(text.size()) + 1);
  for (const int64_t count : report.lengths.bins) counted += count;
  EXPECT_EQ(report.lengths.longest, longest);
  EXPECT_EQ(counted, report.documents);
  ASSERT_EQ(report.samples.size(), 2u);
  EXPECT_EQ(report.samples[0].size(), std::min<size_t>(5, texts[0].size() + 1));
  EXPECT_EQ(report.samples[0][0], static_cast<unsigned char>(texts[0][0]));
}

}  // namespace
}  // namespace ingot
